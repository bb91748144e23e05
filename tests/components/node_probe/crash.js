const fs = require('fs');
const note = require('./note');

exports.process = async function crash(msg, cfg) {
    const mark = `${cfg.tries}.${msg.body.n}`;
    if (!fs.existsSync(mark)) {
        fs.writeFileSync(mark, '');
        process.kill(process.pid, 'SIGKILL');
        await new Promise(() => {});
    }
    note(cfg, msg);
    return { body: msg.body };
};
