// The near limit: uWebSockets passes bytes on and looks at nothing but the address before them.
//
// A message is "TO\nPAYLOAD"; it goes to the client named TO as it is. The first line of output
// says that it listens. Usage: node uws_relay.cjs PORT TOKEN
const uws = require('uwebsockets');

const [port, token] = process.argv.slice(2);
const clients = new Map();

uws.App().ws('/*', {
  compression: uws.DISABLED,
  maxPayloadLength: 65536,
  idleTimeout: 120,
  upgrade(response, request, context) {
    if (request.getQuery('token') !== token) {
      response.writeStatus('401 Unauthorized').end();
      return;
    }
    response.upgrade(
      { id: request.getQuery('id') },
      request.getHeader('sec-websocket-key'),
      request.getHeader('sec-websocket-protocol'),
      request.getHeader('sec-websocket-extensions'),
      context,
    );
  },
  open(socket) {
    clients.set(socket.getUserData().id, socket);
    socket.send('connected');
  },
  message(socket, data) {
    const bytes = Buffer.from(data);
    clients.get(bytes.latin1Slice(0, bytes.indexOf(10)))?.send(data, false);
  },
  close(socket) {
    const { id } = socket.getUserData();
    if (clients.get(id) === socket) clients.delete(id);
  },
}).listen('127.0.0.1', Number(port), (listening) => {
  if (!listening) process.exit(1);
  console.log('listening');
});
