// Writes expected.json: what npm's jsonata makes of each mapping, and moment of each chain of dates.
import fs from 'node:fs';
import jsonata from 'jsonata';
import moment from 'moment';

const read = name => JSON.parse(fs.readFileSync(new URL(name, import.meta.url)));
const { input, mappings, dates } = read('./cases.json');
const plain = value => (value === undefined ? { nothing: true } : { value: JSON.parse(JSON.stringify(value)) });

const found = mappings.map(expression => {
    try {
        return { expression, ...plain(jsonata(expression).evaluate(input)) };
    } catch (error) {
        return { expression, error: error.code || 'error' };
    }
});
// jsonata 1.8.9 calls no members of a prototype, so the chains are run as what they look like: JavaScript.
const moments = dates.map(expression => {
    const script = expression.replaceAll('$moment', 'moment.utc');
    return { expression, ...plain(new Function('moment', ...Object.keys(input), `return ${script}`)(moment, ...Object.values(input))) };
});
const lines = list => list.map(item => '    ' + JSON.stringify(item)).join(',\n');
fs.writeFileSync(
    new URL('./expected.json', import.meta.url),
    `{\n  "mappings": [\n${lines(found)}\n  ],\n  "dates": [\n${lines(moments)}\n  ]\n}\n`
);
