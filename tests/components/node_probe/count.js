const fs = require('fs');

exports.process = async function count(msg, cfg, snapshot) {
    const ticks = (snapshot.ticks || 0) + 1;
    if (ticks % 2) {
        await this.emit('snapshot', { ticks });
    } else {
        await this.emit('updateSnapshot', { ticks, even: ticks });
    }
    fs.appendFileSync(cfg.out, `${ticks} ${Date.now() / 1000} ${process.pid}\n`);
    return { body: { n: ticks } };
};
