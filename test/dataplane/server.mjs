// A server of the TypeScript SDK 2.x, of revision 2026-07-28, whose tools are those of the tests' modern server. It says its
// port on standard output, takes a word per line on standard input ("tool": it has one tool more; "note": its resource has
// changed), and ends with it.
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createMcpHandler, fromJsonSchema, inputRequired, McpServer } from '@modelcontextprotocol/server';

const text = (text) => ({ content: [{ type: 'text', text }] });
const input = (properties) => ({ inputSchema: fromJsonSchema({ type: 'object', properties }) });
let more = 0;

// interview asks who the user is, and then for a model's word and for roots at once.
function interview(ctx) {
  const answers = ctx.mcpReq.inputResponses;
  if (!answers) {
    const requestedSchema = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
    return inputRequired({ requestState: 'first', inputRequests: { who: inputRequired.elicit({ message: 'Who are you?', requestedSchema }) } });
  }
  if (answers.who) {
    const messages = [{ role: 'user', content: { type: 'text', text: 'hi' } }];
    return inputRequired({
      requestState: `${answers.who.action} ${answers.who.content.name}`,
      inputRequests: { word: inputRequired.createMessage({ maxTokens: 10, messages }), roots: inputRequired.listRoots() },
    });
  }
  return text(['modern', ctx.mcpReq.requestState(), JSON.stringify(answers.word), answers.roots.roots[0].uri].join(' | '));
}

function newServer() {
  const listChanged = { listChanged: true };
  const server = new McpServer({ name: 'modern', version: '1' }, {
    capabilities: { tools: listChanged, prompts: listChanged, resources: { subscribe: true, ...listChanged }, logging: {} },
  });
  server.registerTool('echo', input({ message: { type: 'string' } }), ({ message }) => text(`modern: ${message}`));
  server.registerTool('region', input({ region: { type: 'string', 'x-mcp-header': 'Region' } }), ({ region }) => text(region));
  server.registerTool('interview', input({}), (_, ctx) => interview(ctx));
  server.registerTool('slow', input({ steps: { type: 'integer' } }), async ({ steps }, ctx) => {
    for (let progress = 1; progress <= steps; progress++) {
      const params = { progressToken: ctx.mcpReq._meta.progressToken, progress, total: steps };
      await ctx.mcpReq.notify({ method: 'notifications/progress', params });
    }
    return text('modern: done');
  });
  server.registerTool('log', input({ message: { type: 'string' } }), async ({ message }, ctx) => {
    await ctx.mcpReq.log('warning', `modern: ${message}`);
    return text('logged');
  });
  server.registerTool('wait', input({ message: { type: 'string' } }), async ({ message }, ctx) => {
    console.log(`waiting ${message}`);
    await new Promise((resolve) => ctx.mcpReq.signal.addEventListener('abort', resolve));
    console.log(`cancelled ${message}`);
    return text('');
  });
  for (let i = 1; i <= more; i++) {
    server.registerTool(`more-${i}`, {}, () => text('more'));
  }
  const greeting = { argsSchema: fromJsonSchema({ type: 'object', properties: { who: { type: 'string' } } }) };
  server.registerPrompt('greet', greeting, ({ who }) => (
    { messages: [{ role: 'user', content: { type: 'text', text: `modern greets ${who}` } }] }
  ));
  server.registerResource('note', 'demo://note', {}, ({ href }) => ({ contents: [{ uri: href, text: 'modern' }] }));
  return server;
}

const handler = createMcpHandler(newServer);
const http = createServer(async (req, res) => {
  const gone = new AbortController();
  res.on('close', () => gone.abort());
  const body = req.method === 'POST' ? Buffer.concat(await req.toArray()) : undefined;
  const url = `http://${req.headers.host}${req.url}`;
  const response = await handler.fetch(new Request(url, { method: req.method, headers: req.headers, body, signal: gone.signal }));
  res.writeHead(response.status, Object.fromEntries(response.headers));
  res.flushHeaders();
  await pipeline(response.body ? Readable.fromWeb(response.body) : [], res).catch(() => {}); // The client has gone.
});
http.listen(0, '127.0.0.1', () => console.log(`port ${http.address().port};`));

for await (const word of createInterface({ input: process.stdin })) {
  if (word === 'tool') {
    more++;
    handler.notify.toolsChanged();
  } else {
    handler.notify.resourceUpdated('demo://note');
  }
}
process.exit(0);
