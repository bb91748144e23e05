// What it takes and gives cannot be told.
exports.process = async msg => msg;
exports.getMetaModel = async cfg => { throw new Error(`no such table: ${cfg.table}`); };
