const fs = require('fs');
const note = require('./note');

exports.process = async function rebound(msg, cfg) {
    // Counts its tries in a file: a rebound brings back the original bytes.
    fs.appendFileSync(cfg.tries, `${msg.body.n} ${Date.now() / 1000}\n`);
    const tries = fs.readFileSync(cfg.tries, 'utf8').split('\n').filter(line => line.startsWith(`${msg.body.n} `));
    if (tries.length <= Number(cfg.times || 1)) {
        await this.emit('rebound', new Error(`not yet: ${'x'.repeat(Number(cfg.length || 0))}`));
    } else {
        note(cfg, msg);
        await this.emit('data', { body: msg.body, headers: {} });
    }
    await this.emit('end');
};
