// Grows the body to `bytes`, or tells how large it is: what the library puts into the object store and gets from there.
module.exports.process = async function large(msg, cfg) {
    const text = cfg.bytes ? 'x'.repeat(Number(cfg.bytes)) : msg.body.text;
    const earlier = Object.entries(msg.passthrough || {}).map(([step, one]) => [step, (one.body.text || '').length]);
    await this.emit('data', {
        body: { n: msg.body.n, text, seen: (msg.body.text || '').length, earlier: Object.fromEntries(earlier) },
        headers: {}
    });
    await this.emit('end');
};
