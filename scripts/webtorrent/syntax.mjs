/** What a source text does with a module or with the globals, read from its syntax tree. */
import { parseAst } from 'rolldown/parseAst';

/**
 * The members of module `name` that `source` uses, sorted: `['connect']` for `net.connect(…)`, `['default']` if it is called.
 * `'*'` among them means that the module is used as a whole (stored, passed on, indexed), so that anything may happen to it.
 */
export function membersUsed(source, name) {
  if (!mayName(source, name)) return [];
  const tree = parse(source);
  const used = new Set();
  const bindings = new Set();
  const isModule = (node) => node?.type === 'Literal' && String(node.value).replace(/^node:/, '') === name;
  walk(tree, (node, parent) => {
    if (node.type === 'ImportDeclaration' && isModule(node.source)) {
      for (const { type, local, imported } of node.specifiers)
        if (type === 'ImportSpecifier') used.add(imported.name ?? imported.value);
        else bindings.add(local.name);
    } else if ('source' in node && isModule(node.source)) {
      used.add('*');
    } else if (node.type === 'CallExpression' && node.callee.name === 'require' && isModule(node.arguments[0])) {
      const target = boundTo(node, parent);
      if (target.binding) bindings.add(target.binding);
      for (const member of target.members) used.add(member);
    }
  });
  walk(tree, (node, parent, key) => {
    if (node.type !== 'Identifier' || !bindings.has(node.name) || isName(node, parent, key)) return;
    if (parent.type.startsWith('Import') || (parent.type === 'VariableDeclarator' && key === 'id')) return;
    used.add(memberOf(node, parent) ?? (parent.type === 'CallExpression' && key === 'callee' ? 'default' : '*'));
  });
  return [...used].sort();
}

/** The names that `source` uses and declares nowhere: its globals, sorted. */
export function freeNames(source) {
  const declared = new Set();
  const used = new Set();
  walk(parse(source), (node, parent, key) => {
    for (const pattern of declarations(node)) for (const name of namesIn(pattern)) declared.add(name);
    if (node.type === 'Identifier' && !isName(node, parent, key)) used.add(node.name);
  });
  return [...used].filter((name) => !declared.has(name)).sort();
}

/** The members of the global object `name` that `source` uses, sorted; `'*'` as above, except for `typeof name`. */
export function globalMembers(source, name) {
  if (!mayName(source, name)) return [];
  const used = new Set();
  walk(parse(source), (node, parent, key) => {
    if (node.type !== 'Identifier' || node.name !== name || isName(node, parent, key)) return;
    if (parent.type !== 'UnaryExpression' || parent.operator !== 'typeof') used.add(memberOf(node, parent) ?? '*');
  });
  return [...used].sort();
}

/** The specifiers of every import, export-from, `import()` and `require()` in `source`, sorted; `'*'` for one that is computed. */
export function specifiers(source) {
  const found = new Set();
  const add = (node) => found.add(node?.type === 'Literal' ? String(node.value) : '*');
  walk(parse(source), (node) => {
    if (/^(Import|Export).*Declaration$/.test(node.type) && node.source) add(node.source);
    else if (node.type === 'ImportExpression') add(node.source);
    else if (node.type === 'CallExpression' && node.callee.name === 'require') add(node.arguments[0]);
  });
  return [...found].sort();
}

/** Names and texts may be written with escapes. */
const mayName = (source, name) => source.includes(name) || /\\[ux]/.test(source);

let latest = { source: '', tree: { type: 'Program' } };

/** Several questions are asked of one text before the next. */
function parse(source) {
  if (source !== latest.source)
    latest = { source, tree: parseAst(source, { sourceType: 'unambiguous', preserveParens: false }) };
  return latest.tree;
}

function walk(node, visit, parent = undefined, key = undefined) {
  visit(node, parent, key);
  for (const [name, value] of Object.entries(node))
    for (const child of Array.isArray(value) ? value : [value])
      if (child !== null && typeof child === 'object' && typeof child.type === 'string') walk(child, visit, node, name);
}

/** Whether an identifier only names a member, a key or a label, rather than a variable. */
function isName(node, parent, key) {
  if (parent.type === 'MemberExpression') return key === 'property' && !parent.computed;
  if (parent.type === 'Property')
    return key === 'key' && !parent.computed && parent.value !== node && !parent.shorthand;
  if (/^(MethodDefinition|PropertyDefinition|AccessorProperty)$/.test(parent.type))
    return key === 'key' && !parent.computed;
  if (parent.type === 'ImportSpecifier') return key === 'imported' && parent.local !== node;
  return /^(LabeledStatement|BreakStatement|ContinueStatement|MetaProperty|ExportSpecifier)$/.test(parent.type);
}

const memberOf = (node, parent) =>
  parent.type === 'MemberExpression' && parent.object === node && !parent.computed ? parent.property.name : undefined;

/** Where the value of a `require()` goes. */
function boundTo(call, parent) {
  if (parent.type === 'MemberExpression') return { members: [memberOf(call, parent) ?? '*'] };
  if (parent.type !== 'VariableDeclarator') return { members: ['*'] };
  if (parent.id.type === 'Identifier') return { binding: parent.id.name, members: [] };
  return { members: parent.id.properties.map((property) => property.key?.name ?? '*') };
}

function declarations(node) {
  if (node.type === 'VariableDeclarator') return [node.id];
  if (/Function/.test(node.type) && node.params) return [...(node.id ? [node.id] : []), ...node.params];
  if (/^Class/.test(node.type) && node.id) return [node.id];
  if (node.type === 'CatchClause' && node.param) return [node.param];
  if (/^Import.*Specifier$/.test(node.type)) return [node.local];
  return [];
}

function namesIn(pattern) {
  if (pattern === null) return [];
  switch (pattern.type) {
    case 'Identifier':
      return [pattern.name];
    case 'ArrayPattern':
      return pattern.elements.flatMap(namesIn);
    case 'ObjectPattern':
      return pattern.properties.flatMap((property) => namesIn(property.value ?? property.argument));
    case 'AssignmentPattern':
      return namesIn(pattern.left);
    case 'RestElement':
      return namesIn(pattern.argument);
    default:
      return [];
  }
}
