/**
 * Receive cameras: the signaling (docs/protocol.md) and WebRTC, without any DOM. How to use it in
 * a page of your own, and how it is built: docs/page.md.
 */

import { Link, backOff_s } from './link.js';
import { Media } from './media.js';
import { Outbox } from './outbox.js';
import { DEAD_S, DEAD_WITH_NEW_SENDER_S, describeState } from './state.js';

const TICK_S = 0.5;
const STATS_S = 2;
const SETUP_TIMEOUT_S = 15;
const BYES = ['busy', 'disabled', 'lost']; // reasons of a `bye` that the page has words for

const now = () => performance.now();

/** Hold what the clients of one server share: the link to it, and what it has told. */
class Server {
	senders = new Map(); // client_id -> {client_id, name, joinedAt}
	clients = new Map(); // ViewerClient -> what takes messages; {} says that the link changed
	iceServers = [];
	resumeWindow_s = 0;
	welcomedAt = 0;

	constructor(url, token) {
		const address = new URL(url);
		address.protocol = address.protocol.replace('http', 'ws');
		const onChange = () => {
			if (this.link.state !== 'online') this.outbox.pause();
			this.#pass({});
		};
		this.link = new Link(address, token, onChange, (message) => this.#take(message));
		this.outbox = new Outbox(
			(message) => this.link.send({ ...message, client_id: this.link.clientId }),
		);
	}

	#pass(message) {
		for (const take of [...this.clients.values()]) take(message);
	}

	#take(message) {
		const { type, client_id, code } = message;
		if (type === 'connected') this.#welcome(message);
		else if (type === 'peer_joined') this.#add(message);
		else if (type === 'peer_left') this.senders.delete(client_id);
		else if (type === 'ack') this.outbox.take(message);
		else if (type === 'error') {
			const known = this.outbox.take(message);
			// Without an id it is about `stats` or `bye`, which nobody misses.
			const minor = !known && message.msg_id === undefined && message.retry;
			if (minor && this.link.state === 'online') return;
		}
		this.#pass(message);
		if (type === 'connected') this.outbox.resume();
		if (code === 'forbidden_client_id') this.link.renew();
	}

	#welcome({ ice_servers, limits, resumed, peers }) {
		this.iceServers = ice_servers ?? [];
		this.resumeWindow_s = limits?.resume_window_s ?? 0;
		this.welcomedAt = now();
		if (resumed) return; // what changed meanwhile comes next, as messages
		const before = this.senders;
		this.senders = new Map();
		for (const peer of peers ?? []) this.#add(peer, before.get(peer.client_id));
	}

	#add({ client_id, role, name }, known) {
		if (role !== 'sender') return;
		this.senders.set(client_id, { client_id, name, joinedAt: known?.joinedAt ?? now() });
	}
}

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
	#server;
	#media = null;
	#reportedAt = -Infinity;
	#left = null; // the last camera's peer_left
	#failure = null; // {cause, retryAt}: video could not be set up, and when to try again
	#attempt = 0;
	#timer;
	#work = Promise.resolve();

	/**
	 * Prepare; `start` connects.
	 *
	 * Args:
	 *   url: Of the WebSocket; by default on the server that this module came from.
	 *   token: The access token; empty where the server wants none.
	 *   camera: The sender's client_id; null for the first.
	 *   server: For `beside`.
	 */
	constructor({ url = new URL('ws', import.meta.url), token = '', camera, server } = {}) {
		super();
		this.camera = camera ?? null;
		this.#server = server ?? new Server(url, token);
	}

	get pc() {
		return this.#media?.pc ?? null;
	}

	get clientId() {
		return this.#server.link.clientId;
	}

	get host() {
		return this.#server.link.url.host;
	}

	/** The cameras that are there: client_id -> {client_id, name}. */
	get senders() {
		return this.#server.senders;
	}

	/** The client_id of the camera whose video this is; null without any. */
	get sender() {
		return this.#media?.sender ?? this.#choose() ?? null;
	}

	/** What is known of the media; ages in s, null where nothing came yet. */
	get figures() {
		const age_s = (at) => (at ? (now() - at) / 1000 : null);
		const media = this.#media;
		return {
			bytesAge_s: age_s(media?.bytesAt),
			framesAge_s: age_s(media?.framesAt),
			frames: media?.stats.frames ?? 0, // decoded so far
			details: media?.flows(DEAD_S) ? media.details : null, // of the last 2 s
		};
	}

	/** The `Timing` of the media, which wants to know what is presented; or undefined. */
	get timing() {
		return this.#media?.timing;
	}

	start() {
		this.#begin();
		this.#server.link.open();
	}

	stop() {
		clearInterval(this.#timer);
		this.#server.clients.delete(this);
		if (this.#server.clients.size) this.#leave();
		else this.#server.link.close();
		this.#endMedia();
	}

	/** Watch another camera from now on; null for the first. */
	choose(camera) {
		this.camera = camera;
		if (this.#media && this.#media.sender !== this.#choose()) this.#leave();
		this.#failure = this.#left = null;
		this.#take({});
	}

	/** Return a client of one more camera, by the same link; `stop` it as well. */
	beside(camera) {
		const other = new ViewerClient({ camera, server: this.#server });
		other.#begin();
		other.#take({});
		return other;
	}

	/** Try again at once: the network came back, or the page is being looked at again. */
	wake() {
		this.#server.link.wake();
	}

	/** Log in with another token; running video stays. */
	login(token) {
		this.#server.link.login(token);
	}

	#begin() {
		clearInterval(this.#timer);
		this.#timer = setInterval(() => this.#tick(), TICK_S * 1000);
		this.#server.clients.set(this, (message) => this.#take(message));
	}

	#take(message) {
		const media = this.#media;
		switch (message.type) {
			case 'connected':
				if (message.resumed) break;
				// What was being agreed when the link broke is lost in part: begin again.
				if (media && !media.connected) this.#endMedia();
				this.#failure = null;
				break;
			case 'peer_joined': this.#onJoined(message); break;
			case 'peer_left':
				if (media?.sender !== message.client_id) break;
				this.#left = message;
				if (!media.connected) this.#endMedia();
				break;
			case 'offer': this.#onOffer(message); break;
			case 'answer': this.#onSession(message, (current) => current.takeAnswer(message)); break;
			case 'ice_candidate':
				this.#onSession(message, (current) => current.takeCandidate(message));
				break;
			case 'bye': this.#onBye(message); break;
			case 'error': // that the camera is gone is told by `peer_left`
				if (message.code !== 'expired') this.#tell('error', message);
				else if (message.msg_id && message.msg_id === media?.offerMsgId && !media.connected) {
					this.#endMedia();
				}
				break;
			default: // the protocol may grow: what is not known is not ours
		}
		this.#decide();
		this.#update();
	}

	#onJoined({ role, client_id }) {
		if (role !== 'sender' || !this.#wants(client_id)) return;
		this.#left = this.#failure = null;
		this.#attempt = 0;
		const media = this.#media;
		if (media?.sender !== client_id || media.connected) return;
		// An offer to a camera that restarted is never answered, but one that waited for it is.
		if (media.waits) Object.assign(media, { queued: false, startedAt: now() });
		else this.#endMedia();
	}

	/**
	 * Give way to an offer of the robot's, even when one of ours is open: we are polite.
	 *
	 * Ours goes with its connection: after a rollback Chromium sometimes gathers no candidates.
	 */
	#onOffer(message) {
		const media = this.#media;
		if (!(media ? this.#isOurs(message) : this.#wants(message.sender_id))) return;
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

	#wants(sender_id) {
		return (this.camera ?? sender_id) === sender_id;
	}

	#post(media, message) {
		const { type } = message;
		const isDescription = type !== 'ice_candidate';
		return this.#server.outbox.post({ ...message, sender_id: media.sender }, {
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
				if (media === this.#media) this.#webRtcFailed(error, media.connected);
			}
			this.#update();
		});
	}

	#webRtcFailed(error, connected) {
		this.#tell('error', { code: 'webrtc', message: String(error.message ?? error) });
		if (!connected) this.#failSetup('webrtc');
	}

	async #tick() {
		const media = this.#media;
		if (media) {
			await media.poll().catch(() => {}); // a connection that closed has no figures any more
			if (media === this.#media && media.flows(DEAD_S)) this.#report(media);
			this.#tell('media', this.figures);
		}
		this.#decide();
		this.#update();
	}

	/** Sum up how the video is, and tell the robot where it can be told. */
	#report(media) {
		if (now() - this.#reportedAt < (STATS_S - TICK_S / 2) * 1000) return;
		this.#reportedAt = now();
		const { link, senders } = this.#server;
		const tells = link.state === 'online' && senders.has(media.sender);
		const report = media.report(tells);
		const ids = { client_id: this.clientId, sender_id: media.sender };
		if (tells) link.send({ type: 'stats', ...ids, ...report });
	}

	/** Return the camera to watch: the wished one, else the one that we have, else the first. */
	#choose() {
		const { senders } = this.#server;
		const wish = this.camera ?? this.#media?.sender;
		if (senders.has(wish)) return wish;
		return this.camera === null ? senders.keys().next().value : undefined;
	}

	/** Set video up where there is none, a camera is there, and it is time to. */
	#decide() {
		const media = this.#media;
		if (media?.connected && !media.over) this.#attempt = 0;
		if (media && !media.connected) this.#judgeSetup(media);
		if (this.#server.link.state !== 'online') return;
		if (this.#failure && now() < this.#failure.retryAt) return;
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
		const { link, resumeWindow_s, welcomedAt } = this.#server;
		if (media.over) {
			this.#failSetup(media.failure ?? 'blocked');
		} else if (link.state === 'online') { // else an answer may wait for us
			const limit_s = SETUP_TIMEOUT_S + (media.waits ? resumeWindow_s : 0);
			const since = Math.max(media.answeredAt ?? media.startedAt, welcomedAt);
			if (now() - since < limit_s * 1000) return;
			this.#failSetup(media.answeredAt ? 'blocked' : 'no_answer');
		}
	}

	#failSetup(cause, atLeast_s = 1) {
		this.#endMedia();
		const wait_s = Math.max(atLeast_s, backOff_s(this.#attempt++ + 2));
		this.#failure = { cause, retryAt: now() + wait_s * 1000 };
	}

	#newMedia(sender) {
		this.#endMedia();
		this.#failure = null;
		try {
			const media = new Media(
				sender, this.#server.iceServers, (message) => this.#post(media, message),
				(track, stream) => this.#tell('track', { track, stream }), () => this.#take({}),
			);
			this.#media = media;
		} catch (error) {
			this.#webRtcFailed(error);
		}
	}

	/** End the media and let the camera know: the link stays, so it would not see it. */
	#leave() {
		if (!this.#media) return;
		const { sender, agreedId } = this.#media;
		this.#server.link.send({
			type: 'bye', reason: 'ended', client_id: this.clientId, sender_id: sender, offer_id: agreedId,
		});
		this.#endMedia();
	}

	#endMedia() {
		this.#media?.close();
		this.#server.outbox.drop(this.#media);
		this.#media = null;
	}

	#tell(type, detail) {
		this.dispatchEvent(new CustomEvent(type, { detail }));
	}

	#update() {
		const detail = describeState({
			link: this.#server.link, media: this.#media, senders: this.senders, camera: this.camera,
			left: this.#left, failure: this.#failure, here: this.#choose() !== undefined,
		});
		if (JSON.stringify(detail) === JSON.stringify(this.detail)) return;
		this.detail = detail;
		this.state = detail.state;
		this.#tell('state', detail);
	}
}

/** Connect to a server; the options are those of `ViewerClient`. */
export function connect(options) {
	const client = new ViewerClient(options);
	client.start();
	return client;
}
