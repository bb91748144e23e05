const note = require('./note');

// As components were written for the library's first major version: no promise, `this.emit` and an `end`.
exports.process = function legacy(msg, cfg, snapshot) {
    const self = this;
    setTimeout(function later() {
        note(cfg, msg);
        self.emit('data', { body: msg.body, headers: {} });
        self.emit('end');
    }, 1);
};
