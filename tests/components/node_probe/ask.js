// Questions outside a flow; how each ends is a setting.
exports.process = async msg => msg;
exports.getMetaModel = async cfg => ({ in: { type: 'object', properties: { [cfg.field]: { type: 'string' } } }, out: {} });
exports.lists = (cfg, callback) => {
    if (cfg.end === 'error') return callback(new Error('the other side is closed'));
    if (cfg.end === 'nothing') return undefined;  // the library exits with 0 and posts nothing
    if (cfg.end === 'hang') return void setTimeout(() => {}, 600000);
    return callback(null, { a: `List A of ${cfg.token}` });
};
