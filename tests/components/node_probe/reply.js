exports.process = async function reply(msg, cfg) {
    if (cfg.shape === 'message') {
        // The shape of the HTTP Reply component: data with a routing key of its own.
        await this.emit('data', {
            body: { answer: msg.body.n },
            headers: { 'X-EIO-Routing-Key': msg.headers.reply_to, 'x-eio-status-code': 201 }
        });
    } else {
        await this.emit('httpReply', { statusCode: 202, body: JSON.stringify({ answer: msg.body.n }), headers: { x: 'y' } });
    }
    await this.emit('end');
};
