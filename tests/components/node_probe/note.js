// A line for each message into the file `out`, as the Python probe writes them.
const fs = require('fs');

module.exports = function note(cfg, msg) {
    if (cfg.out) {
        fs.appendFileSync(cfg.out, `${msg.body.n} ${Date.now() / 1000} ${process.pid}\n`);
    }
};
