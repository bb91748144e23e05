exports.process = async function many(msg, cfg) {
    for (let part = 0; part < Number(cfg.times || 5); part += 1) {
        // No id, as the real components do it: the library gives all of them one and the same.
        await this.emit('data', { body: { n: msg.body.n * 100 + part, from: msg.body.n }, headers: {} });
    }
    await this.emit('end');
};
