// Reads {schema, instances} from standard input, prints for each instance the errors of a JSON Schema 2020-12 validator.
import { readFileSync } from 'node:fs';
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const { schema, instances } = JSON.parse(readFileSync(0, 'utf8'));
const ajv = new Ajv.default({ strict: true, allErrors: true, allowUnionTypes: true });
addFormats.default(ajv);
const validate = ajv.compile(schema);
console.log(JSON.stringify(instances.map((instance) => (validate(instance) ? [] : validate.errors))));
