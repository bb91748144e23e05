const fs = require('fs');

exports.process = function hang(msg, cfg) {
    const hurts = cfg.only === undefined || Number(cfg.only) === msg.body.n;
    if (hurts) {
        fs.appendFileSync(cfg.tries, `${process.pid}\n`);
    }
    if (hurts && !fs.existsSync(`${cfg.tries}.cured`)) {
        return new Promise(() => {}); // for ever
    }
    require('./note')(cfg, msg);
    return Promise.resolve({ body: msg.body });
};
