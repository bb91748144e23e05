// Questions outside a flow; how each ends is a setting.
exports.process = async msg => msg;
exports.getMetaModel = async cfg => ({ in: { type: 'object', properties: { [cfg.field]: { type: 'string' } } }, out: {} });
exports.lists = function lists(cfg, callback) {
    if (cfg.end === 'renew') return renew.call(this, cfg);
    if (cfg.end === 'error') return callback(new Error('the other side is closed'));
    if (cfg.end === 'nothing') return undefined;  // the library exits with 0 and posts nothing
    if (cfg.end === 'hang') return void setTimeout(() => {}, 600000);
    return callback(null, { a: `List A of ${cfg.token}` });
};

async function renew(cfg) {
    const { ELASTICIO_API_URI: api, ELASTICIO_API_USERNAME: user, ELASTICIO_API_KEY: key } = process.env;
    const path = `/v2/workspaces/${process.env.ELASTICIO_WORKSPACE_ID}/secrets/${cfg.secretId}`;
    const headers = { Authorization: `Basic ${Buffer.from(`${user}:${key}`).toString('base64')}` };
    const found = await (await fetch(api + path, { headers })).json();
    this.emit('updateKeys', { refreshToken: 'second' });
    return { a: `List A of ${found.data.attributes.credentials.token}, as the API says` };
}
