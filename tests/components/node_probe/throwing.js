exports.process = async function throwing(msg, cfg) {
    if (cfg.only === undefined || Number(cfg.only) === msg.body.n) {
        throw new Error(`cannot do ${msg.body.n}: ${'x'.repeat(Number(cfg.length || 0))}`);
    }
    return { body: msg.body };
};
