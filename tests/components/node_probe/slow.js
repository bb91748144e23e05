const fs = require('fs');
const note = require('./note');

exports.process = async function slow(msg, cfg) {
    if (cfg.begun) fs.appendFileSync(cfg.begun, `${msg.body.n}\n`);
    await new Promise(resolve => setTimeout(resolve, Number(cfg.work_ms || 1000)));
    note(cfg, msg);
    return { body: msg.body };
};
