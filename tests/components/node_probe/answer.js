// Answers with what it gets, in the shape of the HTTP Reply component: the library may put the body into the object store.
exports.process = async function answer(msg) {
    const headers = { 'X-EIO-Routing-Key': msg.headers.reply_to, 'x-eio-status-code': 201 };
    await this.emit('data', { body: msg.body, headers });
    await this.emit('end');
};
