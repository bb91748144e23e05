const fs = require('fs');
const note = require('./note');

exports.startup = async cfg => { fs.appendFileSync(cfg.tries, 'startup\n'); return { subscription: 'id-1' }; };
exports.init = async cfg => { fs.appendFileSync(cfg.tries, 'init\n'); };
exports.shutdown = async (cfg, state) => { fs.appendFileSync(cfg.tries, `shutdown ${state.subscription}\n`); };
exports.process = async function hooks(msg, cfg) {
    note(cfg, msg);
    return { body: msg.body };
};
