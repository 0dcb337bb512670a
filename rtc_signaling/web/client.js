/**
 * Receive a robot's camera: the signaling (docs/protocol.md) and the WebRTC side, without any DOM.
 *
 *     import { connect } from 'http://robot:8765/client.js';
 *     const client = connect({ token: '...' });
 *     client.addEventListener('track', (event) => { video.srcObject = event.detail.stream; });
 *
 * Two things live side by side and fail apart: `Link`, the WebSocket to the server, and `Media`,
 * the peer connection to the robot. Running media never depends on the link, so losing the server
 * touches no video. `ViewerClient` joins them and decides when media has to be set up anew; an
 * `Outbox` sends what it has to say until the server has taken it.
 */

import { Link, backOff_s } from './link.js';
import { Media } from './media.js';
import { Outbox } from './outbox.js';
import { DEAD_S, DEAD_WITH_NEW_SENDER_S, describeState } from './state.js';
import { NO_STATS } from './stats.js';

const TICK_S = 0.5;
const STATS_S = 2;
const SETUP_TIMEOUT_S = 15;
const BYES = ['busy', 'disabled', 'lost']; // reasons of a `bye` that the page has words for

const now = () => performance.now();

/**
 * Receive one camera and keep receiving it. Events, each with a `detail`:
 * - `state` {state, cause, ...}: what it is doing now; see `describeState`.
 * - `track` {track, stream}: a new picture source; the first packet has just come.
 * - `media` {}: new figures, twice a second while there is a peer connection; see `figures`.
 * - `error` {code, message, ...}: what the server complained of.
 */
export class ViewerClient extends EventTarget {
  state = 'connecting';
  detail = { state: 'connecting', cause: null };
  senders = new Map(); // client_id -> {client_id, name, joinedAt}
  #link;
  #outbox;
  #media = null;
  #iceServers = [];
  #resumeWindow_s = 0;
  #reportedAt = -Infinity;
  #welcomedAt = 0;
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
    this.#outbox = new Outbox(
      (message) => this.#link.send({ ...message, client_id: this.clientId }),
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
    const { frames, fps, width, height } = media?.stats ?? NO_STATS;
    return {
      bytesAge_s: age_s(media?.bytesAt),
      framesAge_s: age_s(media?.framesAt),
      frames, // decoded so far
      fps,
      width,
      height,
    };
  }

  /** Return the `Timing` of the media, which wants to know what is presented; or undefined. */
  get timing() {
    return this.#media?.timing;
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
    if (this.#link.state !== 'online') this.#outbox.pause();
    this.#decide();
    this.#update();
  }

  #onMessage(message) {
    switch (message.type) {
      case 'connected': this.#onConnected(message); break;
      case 'peer_joined': this.#onJoined(message); break;
      case 'peer_left': this.#onLeft(message); break;
      case 'offer': this.#onOffer(message); break;
      case 'answer': this.#onSession(message, (media) => media.takeAnswer(message)); break;
      case 'ice_candidate':
        this.#onSession(message, (media) => media.takeCandidate(message));
        break;
      case 'bye': this.#onBye(message); break;
      case 'ack': this.#outbox.take(message); break;
      case 'error': this.#onError(message); break;
      default: // the protocol may grow: what is not known is not ours
    }
    this.#decide();
    this.#update();
  }

  #onConnected(message) {
    this.#iceServers = message.ice_servers ?? [];
    this.#resumeWindow_s = message.limits?.resume_window_s ?? 0;
    if (!message.resumed) {
      const before = this.senders;
      this.senders = new Map();
      for (const peer of message.peers ?? []) this.#addPeer(peer, before.get(peer.client_id));
      // What was being agreed when the link broke is lost in part: begin again.
      if (this.#media && !this.#media.connected) this.#endMedia();
      this.#setupFailure = null;
    } // else nothing was missed: what changed meanwhile comes next, as messages
    this.#welcomedAt = now();
    this.#outbox.resume();
  }

  #onJoined(message) {
    this.#addPeer(message);
    if (message.role !== 'sender') return;
    this.#left = null;
    this.#setupFailure = null;
    this.#setupAttempt = 0;
    const media = this.#media;
    if (media?.sender !== message.client_id || media.connected) return;
    // An offer to a camera that restarted is never answered, but one that waited for it is.
    if (media.waits) Object.assign(media, { queued: false, startedAt: now() });
    else this.#endMedia();
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

  /**
   * Give way to an offer of the robot's, even when one of ours is open: we are polite.
   *
   * Ours goes with its connection: after a rollback Chromium sometimes gathers no candidates.
   */
  #onOffer(message) {
    const media = this.#media;
    if (media && !this.#isOurs(message)) return;
    if (!media?.isOfSameEnd(message.sdp)) {
      this.#newMedia(message.sender_id ?? media?.sender ?? this.#choose());
    }
    this.#inOrder((current) => current.answer(message));
  }

  /** Take a message of the session with the camera that we have; others have gone by. */
  #onSession(message, step) {
    if (this.#isOurs(message)) this.#inOrder(step);
  }

  /** End at once what the robot has ended, instead of seeing it stand still first. */
  #onBye({ sender_id, offer_id, reason, retry_after_s }) {
    if (!this.#media || !this.#isOurs({ sender_id }) || !this.#media.isFrom(offer_id)) return;
    this.#failSetup(BYES.includes(reason) ? reason : 'ended', retry_after_s);
  }

  #isOurs({ sender_id }) {
    return sender_id === undefined || sender_id === this.#media?.sender;
  }

  #onError(message) {
    const { code, msg_id } = message;
    const known = this.#outbox.take(message);
    const media = this.#media;
    if (code === 'expired') {
      if (msg_id !== undefined && msg_id === media?.offerMsgId && !media.connected) this.#endMedia();
      return; // that the camera is gone is told by `peer_left`
    }
    // Without an id it is about `stats`, which nobody misses.
    if (!known && msg_id === undefined && message.retry && this.#link.state === 'online') return;
    this.#tell('error', message);
    if (code === 'forbidden_client_id') this.#link.renew();
  }

  #post(media, message) {
    const { type } = message;
    const isDescription = type !== 'ice_candidate';
    return this.#outbox.post({ ...message, sender_id: media.sender }, {
      owner: media,
      alone: isDescription || !message.candidate,
      onEnd: ({ status, error }) => {
        if (type === 'offer') media.queued = status === 'queued';
        if (error?.code === 'no_ack') this.#tell('error', error);
        if (error && isDescription && !media.connected) {
          this.#failSetup(error.code, error.retry_after_s);
        }
      },
    });
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
      this.#report(media);
    }
    this.#decide();
    this.#update();
  }

  /** Tell the robot how its video is, while it comes and the robot can be told. */
  #report(media) {
    if (media !== this.#media || !media.flows(DEAD_S) || this.#link.state !== 'online') return;
    if (!this.senders.has(media.sender)) return;
    if (now() - this.#reportedAt < (STATS_S - TICK_S / 2) * 1000) return;
    this.#reportedAt = now();
    const ids = { client_id: this.clientId, sender_id: media.sender };
    this.#link.send({ type: 'stats', ...ids, ...media.report() });
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
    if (media.over) {
      this.#failSetup(media.failure ?? 'blocked');
    } else if (this.#link.state === 'online') { // else an answer may wait for us
      const limit_s = SETUP_TIMEOUT_S + (media.waits ? this.#resumeWindow_s : 0);
      const since = Math.max(media.answeredAt ?? media.startedAt, this.#welcomedAt);
      if (now() - since < limit_s * 1000) return;
      this.#failSetup(media.answeredAt ? 'blocked' : 'no_answer');
    }
  }

  #failSetup(cause, atLeast_s = 1) {
    this.#endMedia();
    const wait_s = Math.max(atLeast_s, backOff_s(this.#setupAttempt++ + 2));
    this.#setupFailure = { cause, retryAt: now() + wait_s * 1000 };
  }

  #newMedia(sender) {
    this.#endMedia();
    this.#setupFailure = null;
    const onTrack = (track, stream) => this.#tell('track', { track, stream });
    try {
      const media = new Media(
        sender, this.#iceServers, (message) => this.#post(media, message), onTrack,
        () => this.#onLinkChange(),
      );
      this.#media = media;
    } catch (error) {
      this.#tell('error', { code: 'webrtc', message: String(error.message ?? error) });
      this.#failSetup('webrtc');
    }
  }

  #endMedia() {
    this.#media?.close();
    this.#outbox.drop(this.#media);
    this.#media = null;
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #update() {
    const detail = describeState({
      link: this.#link, media: this.#media, senders: this.senders,
      left: this.#left, failure: this.#setupFailure,
    });
    if (JSON.stringify(detail) === JSON.stringify(this.detail)) return;
    this.detail = detail;
    this.state = detail.state;
    this.#tell('state', detail);
  }
}

/** Connect to a robot; the options are those of `ViewerClient`. */
export function connect(options) {
  const client = new ViewerClient(options);
  client.start();
  return client;
}
