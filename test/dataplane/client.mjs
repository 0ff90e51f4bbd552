// Clients of both lines of the TypeScript SDK, told what to do by lines of JSON on standard input:
//   {"id": 1, "client": 1, "do": "call", …}  →  {"id": 1, "result": …} or {"id": 1, "error": "…"}
// What servers tell a client by themselves is {"client": 1, "note": "…"}. All clients end with standard input.
import { createInterface } from 'node:readline';
import * as first from '@modelcontextprotocol/sdk/client/index.js';
import * as firstSSE from '@modelcontextprotocol/sdk/client/sse.js';
import * as firstHTTP from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';
import * as second from '@modelcontextprotocol/client';

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const clients = new Map();

const textOf = (content) => content.filter((c) => c.type === 'text').map((c) => c.text).join('');

const lists = {
  tools: (client, p) => client.listTools(p),
  prompts: (client, p) => client.listPrompts(p),
  resources: (client, p) => client.listResources(p),
  resourceTemplates: (client, p) => client.listResourceTemplates(p),
};

const capabilities = { roots: { listChanged: true }, sampling: {}, elicitation: {} };

// oneByOne has a client take messages that came at once as if they had come one after the other. An answer ends what its
// request had asked to be told, and the SDK runs handlers of notifications a moment later than those of answers: over
// HTTP+SSE it would lose all progress that comes in one piece with the answer, whoever is the server.
function oneByOne(transport) {
  const take = transport.onmessage;
  let taken = Promise.resolve();
  transport.onmessage = (message, extra) => {
    taken = taken.then(() => {
      take(message, extra);
      return new Promise((resolve) => setImmediate(resolve));
    });
  };
}

// Connected is what the clients of both lines have in common.
class Connected {
  constructor({ client, root, model, name }) {
    this.note = (note) => say({ client, note });
    this.running = new Map();
    this.roots = [{ uri: root, name: 'dataplane' }];
    this.answers = {
      'roots/list': async () => {
        this.note('roots');
        return { roots: this.roots };
      },
      'sampling/createMessage': async ({ params }) => {
        this.note('sampling');
        return { role: 'assistant', model, content: { type: 'text', text: `sampled ${params.messages[0].content.text}` } };
      },
      'elicitation/create': async () => {
        this.note('elicitation');
        return { action: 'accept', content: { name } };
      },
    };
    this.told = {
      'notifications/resources/updated': ({ params }) => this.note(`updated ${params.uri}`),
      'notifications/message': ({ params }) => this.note(`log ${params.level} ${params.data}`),
    };
  }

  async connect({ url, sse }) {
    this.client.onerror = (error) => this.note(`error ${error.message}`);
    this.transport = this.newTransport(new URL(url), sse);
    await this.client.connect(this.transport);
    if (sse) {
      oneByOne(this.transport);
    }
    return { server: this.client.getServerVersion()?.name, modern: this.modern() };
  }

  modern() {
    return false;
  }

  async list({ what }) {
    const members = await this.listed(what === 'templates' ? 'resourceTemplates' : what);
    return members.map((m) => (what === 'templates' ? m.uriTemplate : what === 'resources' ? m.uri : m.name));
  }

  async call({ id, tool, arguments: args, token }) {
    const abort = new AbortController();
    this.running.set(id, abort);
    const options = { signal: abort.signal };
    if (token) {
      options.onprogress = (p) => this.note(`progress ${token} ${p.progress}/${p.total}`);
    }
    try {
      const result = await this.callTool({ name: tool, arguments: args ?? {} }, options);
      if (result.isError) {
        throw new Error(`the tool failed: ${textOf(result.content)}`);
      }
      return textOf(result.content);
    } finally {
      this.running.delete(id);
    }
  }

  async cancel({ call }) {
    this.running.get(call)?.abort('the test cancels');
  }

  async prompt({ name, arguments: args }) {
    return (await this.client.getPrompt({ name, arguments: args ?? {} })).messages[0].content.text;
  }

  async read({ uri }) {
    const { contents } = await this.client.readResource({ uri });
    return `${contents[0].uri}: ${contents[0].text ?? ''}`;
  }

  async subscribe({ uri }) {
    await this.client.subscribeResource({ uri });
  }

  async unsubscribe({ uri }) {
    await this.client.unsubscribeResource({ uri });
  }

  async complete({ name, template, argument, value }) {
    const ref = template ? { type: 'ref/resource', uri: template } : { type: 'ref/prompt', name };
    return (await this.client.complete({ ref, argument: { name: argument, value } })).completion.values;
  }

  async level({ level }) {
    await this.client.setLoggingLevel(level);
  }

  async root({ uri }) {
    this.roots.push({ uri });
    await this.client.sendRootsListChanged();
  }

  async close() {
    await this.transport?.terminateSession?.();
    await this.client.close();
  }
}

// First is a client of the SDK 1.x.
class First extends Connected {
  constructor(command) {
    super(command);
    this.client = new first.Client({ name: 'typescript-1', version: '1' }, { capabilities });
    const schemas = [
      types.ListRootsRequestSchema, types.CreateMessageRequestSchema, types.ElicitRequestSchema,
      types.ResourceUpdatedNotificationSchema, types.LoggingMessageNotificationSchema,
      types.ToolListChangedNotificationSchema, types.PromptListChangedNotificationSchema, types.ResourceListChangedNotificationSchema,
    ];
    const told = {
      ...this.told,
      'notifications/tools/list_changed': () => this.note('tools changed'),
      'notifications/prompts/list_changed': () => this.note('prompts changed'),
      'notifications/resources/list_changed': () => this.note('resources changed'),
    };
    for (const schema of schemas) {
      const method = schema.shape.method.value;
      if (this.answers[method]) {
        this.client.setRequestHandler(schema, this.answers[method]);
      } else {
        this.client.setNotificationHandler(schema, told[method]);
      }
    }
  }

  newTransport(url, sse) {
    return sse ? new firstSSE.SSEClientTransport(url) : new firstHTTP.StreamableHTTPClientTransport(url);
  }

  async listed(member) {
    const found = [];
    let cursor;
    do {
      const page = await lists[member](this.client, { cursor });
      found.push(...page[member]);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return found;
  }

  callTool(params, options) {
    return this.client.callTool(params, undefined, options);
  }
}

// Second is a client of the SDK 2.x. Its mode is "legacy", "auto" or a revision that it insists on.
class Second extends Connected {
  constructor(command) {
    super(command);
    const changed = (what) => ({ autoRefresh: false, debounceMs: 0, onChanged: () => this.note(`${what} changed`) });
    const mode = ['legacy', 'auto'].includes(command.mode) ? command.mode : { pin: command.mode };
    this.client = new second.Client({ name: 'typescript-2', version: '1' }, {
      capabilities,
      versionNegotiation: { mode },
      listChanged: { tools: changed('tools'), prompts: changed('prompts'), resources: changed('resources') },
    });
    for (const [method, answer] of Object.entries(this.answers)) {
      this.client.setRequestHandler(method, answer);
    }
    for (const [method, tell] of Object.entries(this.told)) {
      this.client.setNotificationHandler(method, tell);
    }
    this.subscriptions = new Map();
  }

  newTransport(url, sse) {
    return sse ? new second.SSEClientTransport(url) : new second.StreamableHTTPClientTransport(url);
  }

  modern() {
    return this.client.getProtocolEra() === 'modern';
  }

  async listed(member) {
    return (await lists[member](this.client))[member]; // It asks for all pages.
  }

  callTool(params, options) {
    if (this.logLevel) {
      params._meta = { [second.LOG_LEVEL_META_KEY]: this.logLevel };
    }
    return this.client.callTool(params, options);
  }

  // The modern era has streams for what the older one had requests and notifications for.
  async subscribe({ uri }) {
    if (!this.modern()) {
      return super.subscribe({ uri });
    }
    const subscription = await this.client.listen({ resourceSubscriptions: [uri] });
    this.subscriptions.set(uri, subscription);
    void subscription.closed.then((by) => this.note(`subscription ended ${by}`));
  }

  async unsubscribe({ uri }) {
    if (!this.modern()) {
      return super.unsubscribe({ uri });
    }
    await this.subscriptions.get(uri).close();
  }

  async level({ level }) {
    if (!this.modern()) {
      return super.level({ level });
    }
    this.logLevel = level;
  }

  async root({ uri }) {
    if (!this.modern()) {
      return super.root({ uri });
    }
    this.roots.push({ uri });
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let connected = clients.get(command.client);
  if (!connected) {
    connected = command.mode ? new Second(command) : new First(command);
    clients.set(command.client, connected);
  }
  connected[command.do](command).then(
    (result) => say({ id: command.id, result: result ?? null }),
    (error) => say({ id: command.id, error: error.message }),
  );
  if (command.do === 'close') {
    clients.delete(command.client);
  }
}
process.exit(0);
