/**
 * Receive a robot's camera: the signaling (docs/protocol.md) and the WebRTC side, without any DOM.
 *
 *     import { connect } from 'http://robot:8765/client.js';
 *     const client = connect({ token: '...' });
 *     client.addEventListener('track', (event) => { video.srcObject = event.detail.stream; });
 *
 * Two things live side by side and fail apart: `Link`, the WebSocket to the server, and `Media`,
 * the peer connection to the robot. Running media never depends on the link, so losing the server
 * touches no video. `ViewerClient` joins them and decides when media has to be set up anew.
 */

import { Link, backOff_s } from './link.js';
import { Media } from './media.js';

const TICK_S = 0.5;
const SETUP_TIMEOUT_S = 15;
const DEAD_S = 5; // nothing at all came for so long: set up anew
const DEAD_WITH_NEW_SENDER_S = 3; // the same, when the camera came (back) after the set-up

const now = () => performance.now();

/**
 * Receive one camera and keep receiving it. Events, each with a `detail`:
 * - `state` {state, cause, ...}: what it is doing now; see `#describe`.
 * - `track` {track, stream}: a new picture source; the first packet has just come.
 * - `media` {}: new figures, twice a second while there is a peer connection; see `figures`.
 * - `error` {code, message, ...}: what the server complained of.
 */
export class ViewerClient extends EventTarget {
  state = 'connecting';
  detail = { state: 'connecting', cause: null };
  senders = new Map(); // client_id -> {client_id, name, joinedAt}
  #link;
  #media = null;
  #iceServers = [];
  #left = null; // the last camera's peer_left
  #setupFailure = null; // {cause, retryAt}: video could not be set up, and when to try again
  #setupAttempt = 0;
  #timer;
  #work = Promise.resolve();

  /**
   * Prepare; `start` connects.
   *
   * Args:
   *   url: The WebSocket's address; by default on the server that this module came from.
   *   token: The access token; empty where the server wants none.
   */
  constructor({ url = new URL('ws', import.meta.url), token = '' } = {}) {
    super();
    const address = new URL(url);
    address.protocol = address.protocol.replace('http', 'ws');
    this.#link = new Link(
      address, token, () => this.#onLinkChange(), (message) => this.#onMessage(message),
    );
  }

  get pc() {
    return this.#media?.pc ?? null;
  }

  get clientId() {
    return this.#link.clientId;
  }

  get host() {
    return this.#link.url.host;
  }

  /** Return what is known of the media; ages in s, null where nothing came yet. */
  get figures() {
    const age_s = (at) => (at === null || at === undefined ? null : (now() - at) / 1000);
    const media = this.#media;
    return {
      bytesAge_s: age_s(media?.bytesAt),
      framesAge_s: age_s(media?.framesAt),
      frames: media?.frames ?? 0, // decoded so far
      fps: media?.fps ?? 0,
      width: media?.width ?? 0,
      height: media?.height ?? 0,
    };
  }

  start() {
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#tick(), TICK_S * 1000);
    this.#link.open();
  }

  stop() {
    clearInterval(this.#timer);
    this.#link.close();
    this.#endMedia();
  }

  /** Try again at once: the network came back, or the page is being looked at again. */
  wake() {
    this.#link.wake();
  }

  /** Log in with another token; running video stays. */
  login(token) {
    this.#link.login(token);
  }

  #onLinkChange() {
    this.#decide();
    this.#update();
  }

  #onMessage(message) {
    switch (message.type) {
      case 'connected': this.#onConnected(message); break;
      case 'peer_joined': this.#onJoined(message); break;
      case 'peer_left': this.#onLeft(message); break;
      case 'offer': this.#onOffer(message); break;
      case 'answer': this.#inOrder((media) => media.takeAnswer(message.sdp)); break;
      case 'ice_candidate': this.#inOrder((media) => media.takeCandidate(message)); break;
      case 'error': this.#onError(message); break;
      default: // the protocol may grow: what is not known is not ours
    }
    this.#decide();
    this.#update();
  }

  #onConnected(message) {
    this.#iceServers = message.ice_servers ?? [];
    const before = this.senders;
    this.senders = new Map();
    for (const peer of message.peers ?? []) this.#addPeer(peer, before.get(peer.client_id));
    // What was being agreed when the link broke is lost in part: begin again.
    if (this.#media && !this.#media.connected) this.#endMedia();
    this.#setupFailure = null;
  }

  #onJoined(message) {
    this.#addPeer(message);
    if (message.role !== 'sender') return;
    this.#left = null;
    this.#setupFailure = null;
    this.#setupAttempt = 0;
    const media = this.#media; // an offer to a camera that restarted is never answered
    if (media?.sender === message.client_id && !media.connected) this.#endMedia();
  }

  #onLeft(message) {
    if (!this.senders.delete(message.client_id)) return;
    if (this.#media?.sender !== message.client_id) return;
    this.#left = message;
    if (!this.#media.connected) this.#endMedia();
  }

  #addPeer({ client_id, role, name }, known) {
    if (role !== 'sender') return;
    this.senders.set(client_id, { client_id, name, joinedAt: known?.joinedAt ?? now() });
  }

  /** Give way to an offer of the robot's, even when one of ours is under way: we are polite. */
  #onOffer(message) {
    const sender = message.sender_id ?? this.#media?.sender ?? this.#choose();
    this.#newMedia(sender);
    this.#inOrder((media) => media.answer(message.sdp));
  }

  #onError(message) {
    if (message.code === 'peer_unavailable' && this.#media && !this.#media.connected) {
      this.#failSetup('peer_unavailable', message.retry_after_s ?? 0);
    }
    this.#tell('error', message);
    if (message.code === 'forbidden_client_id') this.#link.renew();
  }

  /** Run a step of the agreement after those before it, unless its connection is gone by then. */
  #inOrder(step) {
    const media = this.#media;
    if (!media) return;
    this.#work = this.#work.then(async () => {
      if (media !== this.#media) return;
      try {
        await step(media);
      } catch (error) {
        if (media !== this.#media) return;
        this.#tell('error', { code: 'webrtc', message: String(error.message ?? error) });
        if (!media.connected) this.#failSetup('webrtc');
      }
      this.#update();
    });
  }

  async #tick() {
    const media = this.#media;
    if (media) {
      await media.poll().catch(() => {}); // a connection that closed has no figures any more
      this.#tell('media', this.figures);
    }
    this.#decide();
    this.#update();
  }

  /** Return the camera to watch: the one that we have, else the first. */
  #choose() {
    const current = this.#media?.sender;
    return this.senders.has(current) ? current : this.senders.keys().next().value;
  }

  /** Set video up where there is none, a camera is there, and it is time to. */
  #decide() {
    const media = this.#media;
    if (media?.connected && !media.over) this.#setupAttempt = 0;
    if (media && !media.connected) this.#judgeSetup(media);
    if (this.#link.state !== 'online') return;
    if (this.#setupFailure && now() < this.#setupFailure.retryAt) return;
    const sender = this.#choose();
    if (sender === undefined || (this.#media && !this.#mediaIsDead())) return;
    this.#newMedia(sender);
    this.#inOrder((fresh) => fresh.offer());
  }

  #mediaIsDead() {
    const media = this.#media;
    if (!media.connected) return false; // `#judgeSetup` ends it in time
    const joined = this.senders.get(this.#choose())?.joinedAt ?? 0;
    return !media.flows(joined > media.startedAt ? DEAD_WITH_NEW_SENDER_S : DEAD_S);
  }

  #judgeSetup(media) {
    const late = now() - media.startedAt > SETUP_TIMEOUT_S * 1000;
    if (media.over) this.#failSetup(media.failure ?? 'blocked');
    else if (late) this.#failSetup(media.answered ? 'blocked' : 'no_answer');
  }

  #failSetup(cause, atLeast_s = 1) {
    this.#endMedia();
    const wait_s = Math.max(atLeast_s, backOff_s(this.#setupAttempt++ + 2));
    this.#setupFailure = { cause, retryAt: now() + wait_s * 1000 };
  }

  #newMedia(sender) {
    this.#endMedia();
    this.#setupFailure = null;
    const send = (message) => {
      const target = message.type === 'offer' ? { sender_id: sender } : {};
      this.#link.send({ ...message, client_id: this.clientId, ...target });
    };
    const onTrack = (track, stream) => this.#tell('track', { track, stream });
    try {
      this.#media = new Media(sender, this.#iceServers, send, onTrack, () => this.#onLinkChange());
    } catch (error) {
      this.#tell('error', { code: 'webrtc', message: String(error.message ?? error) });
      this.#failSetup('webrtc');
    }
  }

  #endMedia() {
    this.#media?.close();
    this.#media = null;
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #update() {
    const detail = this.#describe();
    if (JSON.stringify(detail) === JSON.stringify(this.detail)) return;
    this.detail = detail;
    this.state = detail.state;
    this.#tell('state', detail);
  }

  /**
   * Return {state, cause, retryAt?, flows, ...}.
   *
   * `state` is connecting, authenticating, waiting, negotiating, live, reconnecting, refused or
   * failed; `cause` says why, where there is a why; `retryAt` is the next attempt in ms of
   * performance.now(); `flows` tells whether media comes, whatever the state.
   */
  #describe() {
    const link = this.#link;
    const flows = this.#media?.flows(DEAD_WITH_NEW_SENDER_S) ?? false;
    if (link.state === 'refused' || link.state === 'failed') {
      const cause = link.state === 'failed' ? 'closed' : link.token ? 'wrong_token' : 'no_token';
      return { state: link.state, cause, code: link.cause.code, error: link.cause.error, flows };
    }
    if (link.state !== 'online') {
      const state = link.wasOnline ? 'reconnecting'
        : link.state === 'authenticating' ? 'authenticating' : 'connecting';
      const { kind = null, code = null, error = null } = link.cause ?? {};
      return { state, cause: kind, code, error, retryAt: link.retryAt, flows };
    }
    const media = this.#media;
    const peer = this.senders.get(media?.sender);
    const name = peer ? peer.name || peer.client_id : null;
    const gone = media !== null && !peer;
    if (media?.connected && (media.flows(DEAD_S) || !gone)) {
      return { state: 'live', cause: gone ? 'sender_left' : null, name, flows };
    }
    if (this.senders.size === 0) {
      const cause = gone || this.#left ? 'lost' : 'no_sender';
      return { state: 'waiting', cause, reason: this.#left?.reason ?? null, flows };
    }
    if (this.#setupFailure) return { state: 'failed', ...this.#setupFailure, name, flows };
    return { state: 'negotiating', cause: null, name, flows };
  }
}

/** Connect to a robot; the options are those of `ViewerClient`. */
export function connect(options) {
  const client = new ViewerClient(options);
  client.start();
  return client;
}
