// Reads an AsyncAPI document from standard input, prints the parser's diagnostics as JSON.
import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';

const { document, diagnostics } = await new Parser().parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify({ version: document?.version() ?? null, diagnostics }));
