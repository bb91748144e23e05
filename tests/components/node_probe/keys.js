exports.process = async function keys(msg, cfg) {
    await this.emit('updateKeys', { token: `renewed-${msg.body.n}` });
    return { body: msg.body };
};
