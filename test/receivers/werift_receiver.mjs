// Receive a camera by werift, a WebRTC stack of its own in TypeScript, as docs/protocol.md says.
//
//   node werift_receiver.mjs ws://HOST:PORT/ TOKEN H264|VP8 FRAMES
//
// It writes a line of JSON for each frame that is whole (all packets up to the marker bit, without a
// gap in the sequence numbers), and ends after so many.

import process from 'node:process';

import { RTCPeerConnection, dePacketizeRtpPackets, useH264, useVP8 } from 'werift';
import WebSocket from 'ws';

const [url, token, codec, frames] = process.argv.slice(2);
const parameters = codec === 'VP8' ? useVP8() : useH264({
  parameters: 'profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1',
});
const NAMES = { VP8: 'VP8', H264: 'MPEG4/ISO/AVC' };

const pc = new RTCPeerConnection({
  codecs: { video: [parameters] }, iceServers: [], iceUseIpv6: false, iceUseTcp: false,
});
const socket = new WebSocket(url, { headers: { Authorization: `Bearer ${token}` } });
let whole = 0;
let packets = [];
let next = null; // the sequence number that comes next

function take(rtp) {
  const { header, payload } = rtp;
  if (payload.length === 0) return;
  if (next !== null && header.sequenceNumber !== next) packets = null;
  next = (header.sequenceNumber + 1) & 0xffff;
  packets?.push(rtp);
  if (!header.marker) return;
  if (packets !== null) show(header.timestamp);
  packets = [];
}

function show(timestamp) {
  const { isKeyframe, data } = dePacketizeRtpPackets(NAMES[codec], packets);
  const at_ms = performance.now();
  console.log(JSON.stringify({ timestamp, at_ms, key_frame: isKeyframe, bytes: data.length }));
  whole += 1;
  if (whole >= Number(frames)) end(0);
}

function end(code) {
  socket.close();
  pc.close().finally(() => process.exit(code));
}

async function offer() {
  await pc.setLocalDescription(await pc.createOffer());
  if (pc.iceGatheringState !== 'complete') {
    await pc.iceGatheringStateChange.watch((state) => state === 'complete', 10_000);
  }
  socket.send(JSON.stringify({ type: 'offer', sdp: pc.localDescription.sdp }));
}

async function onMessage(message) {
  switch (message.type) {
    case 'connected':
      if (message.peers.length) await offer();
      break;
    case 'peer_joined':
      await offer();
      break;
    case 'answer':
      await pc.setRemoteDescription({ type: 'answer', sdp: message.sdp });
      break;
    case 'ice_candidate':
      if (message.candidate) await pc.addIceCandidate(message);
      break;
    case 'error':
    case 'bye':
      console.error(JSON.stringify(message));
      end(1);
      break;
    default:
  }
}

pc.onTrack.subscribe((track) => track.onReceiveRtp.subscribe(take));
pc.addTransceiver('video', { direction: 'recvonly' });
socket.on('message', (data) => {
  onMessage(JSON.parse(data)).catch((error) => {
    console.error(error);
    end(1);
  });
});
socket.on('error', (error) => {
  console.error(error);
  end(1);
});
