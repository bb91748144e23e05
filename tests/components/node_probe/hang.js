const fs = require('fs');

exports.process = function hang(msg, cfg) {
    fs.appendFileSync(cfg.tries, `${process.pid}\n`);
    const first = !fs.existsSync(`${cfg.tries}.cured`);
    if (first) {
        return new Promise(() => {}); // for ever
    }
    require('./note')(cfg, msg);
    return Promise.resolve({ body: msg.body });
};
