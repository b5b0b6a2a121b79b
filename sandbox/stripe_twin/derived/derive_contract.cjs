// Writes contract.json: an OpenAPI 3.1 style description of the part of Stripe's API that a checkout needs, read with
// the TypeScript compiler from the declarations of Stripe's own npm package. To run it again, in an empty folder:
//
//   npm install stripe@23.1.0 typescript@5.9.3
//   NODE_PATH=node_modules node PATH/TO/derive_contract.cjs contract.json
//
// The same versions give the same bytes. stripe-python pins the same API version; when it moves, move both.
const fs = require('fs');
const path = require('path');
const ts = require('typescript');

const PACKAGE = packageFolder(require.resolve('stripe'));
const ROOT = path.join(PACKAGE, 'esm');
const RESOURCES = ROOT + '/resources/';
const FILES = [
  'Customers', 'PaymentIntents', 'SetupIntents', 'Checkout/Sessions', 'Refunds', 'Invoices', 'InvoiceItems', 'Prices',
  'Products', 'TaxIds', 'Tax/Calculations', 'Tax/Transactions', 'PaymentMethods', 'Events', 'WebhookEndpoints',
  'CreditNotes', 'Charges', 'Disputes', 'CustomerSessions', 'InvoicePayments', 'Mandates', 'TaxRates',
  'BalanceTransactions', 'TestHelpers/Customers',
];
// Objects described in full; any other one that these can expand to is a stub with its id and kind.
const FULL = new Set([
  'customer', 'payment_intent', 'setup_intent', 'checkout.session', 'refund', 'invoice', 'invoiceitem', 'line_item',
  'item', 'price', 'product', 'tax_id', 'tax.calculation', 'tax.calculation_line_item', 'tax.transaction',
  'tax.transaction_line_item', 'payment_method', 'event', 'webhook_endpoint', 'credit_note', 'credit_note_line_item',
  'charge', 'dispute', 'customer_session', 'cash_balance', 'customer_balance_transaction',
  'customer_cash_balance_transaction', 'funding_instructions', 'invoice_payment', 'mandate', 'tax_rate',
  'balance_transaction',
]);
// TypeScript has one number type; these are the properties that are not whole numbers.
const FLOATS = new Set([
  'exchange_rate', 'percent_off', 'height', 'length', 'weight', 'width', 'amount_percent', 'application_fee_percent',
  'latitude', 'longitude', 'effective_percentage', 'percentage', 'percent_ownership', 'score',
]);
const FORM = 'application/x-www-form-urlencoded';

const program = ts.createProgram(FILES.map((file) => RESOURCES + file + '.d.ts'), {
  strict: true,
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  skipLibCheck: true,
  noEmit: true,
  types: [],
});
const checker = program.getTypeChecker();
let schemas = {};
const paths = {};
const events = {};

for (const file of FILES) readResource(file);
readEventEnvelope();
dropUnreferenced();
mergeEqualSchemas();
dropUnreferenced();
write(process.argv[2]);

function readResource(file) {
  const source = program.getSourceFile(RESOURCES + file + '.d.ts');
  const calls = httpCalls(fs.readFileSync(RESOURCES + file + '.js', 'utf8'));
  ts.forEachChild(source, (node) => {
    if (ts.isClassDeclaration(node) && /Resource$/.test(node.name.text)) {
      for (const member of node.members) readOperation(file, source, calls, member);
    }
    const extendsBase = ts.isInterfaceDeclaration(node) && node.heritageClauses;
    if (file === 'Events' && extendsBase && /Event$/.test(node.name.text)) readEventType(node);
  });
}

// The declarations know types, the JavaScript beside them knows which verb and path a method calls.
function httpCalls(javascript) {
  const calls = {};
  const call = /^    (\w+)\([^)]*\) \{\n(?:(?!^    \}).*\n)*?\s+return this\._makeRequest\('(\w+)',\s*[`']([^`']+)[`']/gm;
  for (const [, name, verb, url] of javascript.matchAll(call)) {
    calls[name] = { verb: verb.toLowerCase(), path: url.replace(/\$\{encodeURIComponent\((\w+)\)\}/g, '{$1}') };
  }
  return calls;
}

function readOperation(file, source, calls, member) {
  if (!ts.isMethodDeclaration(member) || !member.name) return;
  const name = member.name.getText(source);
  const call = calls[name];
  if (!call) return;
  const operation = { operationId: file.replace('/', '.') + '.' + name };
  const parameter = member.parameters.find((candidate) => candidate.name.getText(source) === 'params');
  if (parameter) {
    const schema = convert(checker.getTypeFromTypeNode(parameter.type), '', true);
    if (schema.$ref || schema.properties) {
      if (call.verb === 'post') operation.requestBody = { content: { [FORM]: { schema } } };
      else operation['x-query'] = schema;
    }
  }
  const answer = file === 'Events' ? eventAnswer(name) : answerSchema(member.type, source);
  operation.responses = { 200: { content: { 'application/json': { schema: answer } } } };
  (paths[call.path] = paths[call.path] || {})[call.verb] = operation;
}

function answerSchema(type, source) {
  const promise = type.typeName.getText(source);
  const inner = type.typeArguments[0];
  if (promise === 'Promise') {
    return convert(checker.getTypeFromTypeNode(inner.typeArguments ? inner.typeArguments[0] : inner), '', false);
  }
  const item = convert(checker.getTypeFromTypeNode(inner), '', false);
  if (promise === 'ApiListPromise') return listOf(item);
  return {
    type: 'object',
    properties: {
      object: { enum: ['search_result'] },
      data: { type: 'array', items: item },
      has_more: { type: 'boolean' },
      next_page: { type: ['string', 'null'] },
      url: { type: 'string' },
    },
    required: ['object', 'data', 'has_more', 'url'],
  };
}

// The union of all events is large and needless: one envelope, and the object kind of each type beside it.
function eventAnswer(name) {
  const event = { $ref: '#/components/schemas/event' };
  return name === 'list' ? listOf(event) : event;
}

function readEventType(node) {
  const type = checker.getTypeAtLocation(node);
  const name = checker.getTypeOfSymbolAtLocation(type.getProperty('type'), node);
  const data = checker.getTypeOfSymbolAtLocation(type.getProperty('data'), node);
  const property = data.getProperty('object');
  if (!property) return;
  const object = checker.getTypeOfSymbolAtLocation(property, property.valueDeclaration || node);
  const kind = objectKind(object);
  if (!kind || !FULL.has(kind)) return;
  events[name.value] = convert(object, '', false).$ref.split('/').pop();
}

function readEventEnvelope() {
  ts.forEachChild(program.getSourceFile(RESOURCES + 'Events.d.ts'), (node) => {
    if (!ts.isInterfaceDeclaration(node) || node.name.text !== 'EventBase') return;
    const envelope = objectSchema(checker.getTypeAtLocation(node), false);
    envelope.properties.type = { type: 'string' };
    envelope.properties.object = { enum: ['event'] };
    envelope.properties.data = {
      type: 'object',
      properties: { object: { type: 'object' }, previous_attributes: { type: 'object' } },
      required: ['object'],
    };
    schemas.event = envelope;
  });
}

// --- TypeScript types as JSON Schema

function convert(type, property, inParams) {
  if (isDecimal(type)) return { type: 'string', format: 'decimal', pattern: '^-?\\d+(\\.\\d+)?$' };
  if (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown | ts.TypeFlags.NonPrimitive)) return {};
  if (type.flags & ts.TypeFlags.BooleanLiteral) return { enum: [type.intrinsicName === 'true'] };
  if (type.flags & ts.TypeFlags.Boolean) return { type: 'boolean' };
  if (type.isUnion()) return unionSchema(type, property, inParams);
  if (type.isIntersection()) return { type: 'string' };
  if (type.isStringLiteral()) return { type: 'string', enum: [type.value] };
  if (type.isNumberLiteral()) return { enum: [type.value] };
  if (type.flags & ts.TypeFlags.String) return { type: 'string' };
  if (type.flags & ts.TypeFlags.Number) return { type: FLOATS.has(property) ? 'number' : 'integer' };
  if (type.flags & ts.TypeFlags.Null) return { type: 'null' };
  if (checker.isArrayType(type)) {
    return { type: 'array', items: convert(checker.getTypeArguments(type)[0], property, inParams) };
  }
  const symbol = namedSymbol(type);
  if (symbol && symbol.name === 'ApiList') {
    return listOf(convert(checker.getTypeArguments(type)[0], property, inParams));
  }
  if (symbol && ['Date', 'File', 'FileData', 'Uint8Array', 'Buffer'].includes(symbol.name)) return {};
  const named = symbol && symbol.name !== '__type' && type.getProperties().length;
  if (type.isClassOrInterface() || named) {
    return { $ref: '#/components/schemas/' + component(type, symbol, inParams) };
  }
  return objectSchema(type, inParams);
}

function unionSchema(type, property, inParams) {
  let members = type.types.filter((member) => !(member.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Void)));
  const nullable = members.some((member) => member.flags & ts.TypeFlags.Null);
  members = members.filter((member) => !(member.flags & ts.TypeFlags.Null));
  const alternatives = [];
  if (members.filter((member) => member.flags & ts.TypeFlags.BooleanLiteral).length === 2) {
    members = members.filter((member) => !(member.flags & ts.TypeFlags.BooleanLiteral));
    alternatives.push({ type: 'boolean' });
  }
  let words = members.filter((member) => member.isStringLiteral()).map((member) => member.value);
  let others = members.filter((member) => !member.isStringLiteral());
  // `'a' | 'b' | (string & {})` is how the package writes an enumeration that Stripe may extend.
  const open = others.some((member) => member.isIntersection() && !isDecimal(member));
  others = others.filter((member) => !member.isIntersection() || isDecimal(member));
  const emptyable = inParams && words.includes('');
  if (emptyable) words = words.filter((word) => word !== '');
  if (words.length) alternatives.push({ type: 'string', enum: words.sort(), ...(open ? { 'x-open': true } : {}) });
  else if (open) alternatives.push({ type: 'string' });
  for (const member of others) {
    const schema = convert(member, property, inParams);
    if (!alternatives.some((known) => JSON.stringify(known) === JSON.stringify(schema))) alternatives.push(schema);
  }
  if (emptyable) alternatives.push({ const: '' });
  if (nullable && !inParams) alternatives.push({ type: 'null' });
  if (alternatives.length === 1) return alternatives[0];
  const [first, second] = alternatives;
  if (alternatives.length === 2 && second.type === 'null' && typeof first.type === 'string' && !first.enum) {
    return { ...first, type: [first.type, 'null'] };
  }
  return { anyOf: alternatives };
}

function objectSchema(type, inParams) {
  const schema = { type: 'object' };
  const properties = {};
  const required = [];
  for (const symbol of type.getProperties()) {
    const declaration = symbol.valueDeclaration || (symbol.declarations && symbol.declarations[0]);
    const optional = symbol.flags & ts.SymbolFlags.Optional;
    if (!declaration || symbol.name === 'lastResponse' || (symbol.name === 'deleted' && optional)) continue;
    properties[symbol.name] = convert(checker.getTypeOfSymbolAtLocation(symbol, declaration), symbol.name, inParams);
    if (!optional) required.push(symbol.name);
  }
  const index = checker.getIndexInfoOfType(type, ts.IndexKind.String);
  if (Object.keys(properties).length) schema.properties = properties;
  if (required.length) schema.required = required;
  if (index) schema.additionalProperties = convert(index.type, '', inParams);
  else if (inParams) schema.additionalProperties = false;
  return schema;
}

function listOf(items) {
  return {
    type: 'object',
    properties: {
      object: { enum: ['list'] },
      data: { type: 'array', items },
      has_more: { type: 'boolean' },
      url: { type: 'string' },
    },
    required: ['object', 'data', 'has_more', 'url'],
  };
}

// The name under which a type stands in components; its schema is made when it is met first.
function component(type, symbol, inParams) {
  const { name, kind, isParams } = componentName(symbol);
  if (name in schemas) return name;
  schemas[name] = {};
  if (kind && !FULL.has(kind) && !inParams) {
    const required = ['id', 'object'].filter((key) => type.getProperty(key));
    const properties = { id: { type: 'string' }, object: { enum: [kind] } };
    schemas[name] = { type: 'object', properties, required, 'x-stub': true };
  } else {
    schemas[name] = objectSchema(type, inParams || isParams);
  }
  return name;
}

function componentName(symbol) {
  const parts = [];
  for (let part = symbol; part && part.name !== '__type' && !part.name.startsWith('"'); part = part.parent) {
    parts.unshift(part.name);
  }
  let root = symbol;
  while (root.parent && !root.parent.name.startsWith('"')) root = root.parent;
  const rootType = checker.getDeclaredTypeOfSymbol(root);
  const kind = rootType && objectKind(rootType);
  if (kind) {
    const deleted = rootType.getProperty('deleted');
    parts[0] = (deleted && !(deleted.flags & ts.SymbolFlags.Optional) ? 'deleted_' : '') + kind;
  } else {
    parts[0] = folderPrefix(symbol) + parts[0];
  }
  return { name: parts.join('.'), kind: parts.length === 1 ? kind : null, isParams: /Params$/.test(root.name) };
}

function folderPrefix(symbol) {
  const file = symbol.declarations && symbol.declarations[0].getSourceFile().fileName;
  if (!file || !file.includes('/resources/')) return '';
  const folder = path.dirname(file.split('/resources/')[1]);
  return folder === '.' ? '' : folder.replace(/\//g, '.') + '.';
}

// 'charge' for a type whose `object` is the literal 'charge'.
function objectKind(type) {
  const property = type.getProperty && type.getProperty('object');
  if (!property || !property.valueDeclaration) return null;
  const literal = checker.getTypeOfSymbolAtLocation(property, property.valueDeclaration);
  return literal.isStringLiteral && literal.isStringLiteral() ? literal.value : null;
}

function namedSymbol(type) {
  const alias = type.aliasSymbol;
  if (!alias || alias.name === 'Emptyable') return type.symbol;
  return type.symbol && type.symbol.name !== '__type' ? type.symbol : alias;
}

function isDecimal(type) {
  const named = (candidate) => candidate.symbol && /^Decimal(Impl)?$/.test(candidate.symbol.name);
  if (type.aliasSymbol && type.aliasSymbol.name === 'Decimal') return true;
  return Boolean(named(type)) || (type.isIntersection() && type.types.some(named));
}

// --- Making it small

function dropUnreferenced() {
  const kept = new Set(['event']);
  const queue = [...references(paths), ...Object.values(events), ...references(schemas.event)];
  while (queue.length) {
    const name = queue.pop();
    if (kept.has(name) || !schemas[name]) continue;
    kept.add(name);
    queue.push(...references(schemas[name]));
  }
  for (const name of Object.keys(schemas)) if (!kept.has(name)) delete schemas[name];
}

function references(node, found = new Set()) {
  if (Array.isArray(node)) node.forEach((item) => references(item, found));
  else if (node && typeof node === 'object') {
    if (node.$ref) found.add(node.$ref.split('/').pop());
    Object.values(node).forEach((item) => references(item, found));
  }
  return found;
}

// Equal bodies become one schema, under the shortest name; that makes others equal, so it is repeated.
function mergeEqualSchemas() {
  for (let round = 0; round < 12; round += 1) {
    const byBody = new Map();
    const renamed = {};
    const names = Object.keys(schemas).sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
    for (const name of names) {
      const kind = schemas[name].properties && schemas[name].properties.object;
      if (kind && kind.enum && !name.includes('.')) continue; // an object of the API keeps its own name
      const body = JSON.stringify(schemas[name]);
      if (byBody.has(body)) renamed[name] = byBody.get(body);
      else byBody.set(body, name);
    }
    if (!Object.keys(renamed).length) return;
    rename(schemas, renamed);
    rename(paths, renamed);
    for (const type of Object.keys(events)) events[type] = renamed[events[type]] || events[type];
    for (const name of Object.keys(renamed)) delete schemas[name];
  }
}

function rename(node, renamed) {
  if (Array.isArray(node)) node.forEach((item) => rename(item, renamed));
  else if (node && typeof node === 'object') {
    const name = node.$ref && node.$ref.split('/').pop();
    if (name && renamed[name]) node.$ref = '#/components/schemas/' + renamed[name];
    Object.values(node).forEach((item) => rename(item, renamed));
  }
}

function write(target) {
  const version = fs.readFileSync(ROOT + '/apiVersion.js', 'utf8').match(/ApiVersion = '([^']+)'/)[1];
  const release = JSON.parse(fs.readFileSync(PACKAGE + '/package.json', 'utf8')).version;
  const openapi = fs.readFileSync(PACKAGE + '/OPENAPI_VERSION', 'utf8').trim();
  const document = {
    openapi: '3.1.0',
    info: {
      title: 'Stripe API (trimmed for a B2B checkout)',
      version,
      license: { name: 'MIT' },
      'x-source': `derived from npm stripe@${release} (esm/resources/*.d.ts + *.js), generated by Stripe from openapi ${openapi}`,
    },
    'x-event-types': events,
    paths: Object.fromEntries(Object.entries(paths).sort()),
    components: { schemas },
  };
  fs.writeFileSync(target, JSON.stringify(document));
  console.log(`${Object.keys(paths).length} paths, ${Object.keys(schemas).length} schemas, ${Object.keys(events).length} event types`);
}

function packageFolder(entry) {
  let folder = path.dirname(entry);
  while (!fs.existsSync(folder + '/OPENAPI_VERSION')) folder = path.dirname(folder);
  return folder;
}
