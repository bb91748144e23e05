const fs = require('fs');

exports.process = async function config(msg, cfg) {
    fs.writeFileSync(cfg.out, JSON.stringify({ cfg, variables: this.getFlowVariables(), env: process.env }));
    return { body: { n: msg.body.n } };
};
