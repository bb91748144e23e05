// Uses the object store as components do: through the client library's two classes, and by a signed address.
const { ObjectStorage, ObjectStorageWrapper } = require('@elastic.io/maester-client');
const { Readable } = require('stream');
const fs = require('fs');
const http = require('http');

function ask(method, url, body) {
    return new Promise((resolve, reject) => {
        const request = http.request(url, { method, headers: { 'content-type': 'text/csv' } }, (answer) => {
            const pieces = [];
            answer.on('data', (piece) => pieces.push(piece));
            answer.on('end', () => resolve({ status: answer.statusCode, text: Buffer.concat(pieces).toString() }));
        });
        request.on('error', reject);
        request.end(body);
    });
}

exports.process = async function store(msg, cfg) {
    const found = {};
    const wrapper = new ObjectStorageWrapper(this);
    const query = [{ key: 'group', value: `g-${msg.body.n}` }];
    const made = await wrapper.createObject({ a: 1 }, query, [{ key: 'colour', value: 'red' }], 60);
    await wrapper.updateObjectById(made, { a: 2 }, [{ key: 'part', value: '1' }]);
    found.one = await wrapper.lookupObjectById(made);
    const headers = await wrapper.getObjectHeaders(made);
    found.headers = [headers['x-query-group'], headers['x-query-part'], headers['x-meta-colour'], headers['content-type']];
    found.listed = (await wrapper.lookupObjectsByQueryParameters(query)).map((one) => one.objectId === made);
    await wrapper.deleteObjectsByQueryParameters(query);
    found.left = await wrapper.lookupObjectsByQueryParameters(query);
    found.gone = await wrapper.lookupObjectById(made).catch((error) => error.code);

    const settings = this.getConfig();
    const bare = new ObjectStorage({ uri: settings.OBJECT_STORAGE_URI, jwtSecret: settings.OBJECT_STORAGE_TOKEN });
    const stream = await bare.add(async () => Readable.from([Buffer.alloc(1 << 20, 1), Buffer.alloc(1 << 20, 2)]));
    found.stream = (await bare.getOne(stream, { responseType: 'arraybuffer' })).data.length;

    const signed = await this.getApiClient().resources.storage.createSignedUrl();
    found.put = (await ask('PUT', signed.put_url, 'a;b\n')).status;
    found.got = (await ask('GET', signed.get_url)).text;

    const attachments = Object.entries(msg.attachments || {});
    found.attachments = {};
    for (const [name, { url, size }] of attachments) {
        found.attachments[name] = [size, (await ask('GET', url)).text];
    }
    fs.writeFileSync(cfg.out, JSON.stringify(found));
    await this.emit('data', { body: msg.body, headers: {}, attachments: msg.attachments });
    await this.emit('end');
};
