// A plain relay as a team would write it in an afternoon: Node, ws, JSON, a shared token.
//
// The first line of output says that it listens. Usage: node ws_relay.mjs PORT TOKEN
import { timingSafeEqual } from 'node:crypto';
import { WebSocketServer } from 'ws';

const [port, token] = process.argv.slice(2);
const clients = new Map();

function admits(shown) {
  return shown?.length === token.length && timingSafeEqual(Buffer.from(shown), Buffer.from(token));
}

function isValid(message) {
  return message?.type === 'offer' && typeof message.to === 'string'
    && typeof message.sdp === 'string' && message.sdp.startsWith('v=0');
}

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(port), maxPayload: 65536 });
server.on('listening', () => console.log('listening'));
server.on('connection', (socket, request) => {
  const query = new URL(request.url, 'ws://relay').searchParams;
  const id = query.get('id');
  if (!id || !admits(query.get('token'))) {
    socket.close(4401, 'unauthorized');
    return;
  }
  clients.set(id, socket);
  socket.send(JSON.stringify({ type: 'connected', id }));
  socket.on('error', () => {});
  socket.on('close', () => clients.get(id) === socket && clients.delete(id));
  socket.on('message', (data, isBinary) => {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      message = null;
    }
    if (isBinary || !isValid(message)) {
      socket.close(4400, 'not an offer');
      return;
    }
    clients.get(message.to)?.send(JSON.stringify({ type: 'offer', from: id, sdp: message.sdp }));
  });
});
