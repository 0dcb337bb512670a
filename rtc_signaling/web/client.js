import { Link, backOff_s, now } from './link.js';
import { Media } from './media.js';
import { Outbox } from './outbox.js';
import { DEAD_S, DEAD_IF_NEW_S, describeState } from './state.js';

const TICK_S = 0.5;
const SETUP_TIMEOUT_S = 15;

// `client_id`, or of several cameras `name@client_id`.
const senderOf = (id) => id?.split('@').at(-1);

class Server {
	senders = new Map(); // by id
	clients = new Map(); // ViewerClient -> what takes messages, {} when the link changed
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
		for (const take of this.clients.values()) take(message);
	}

	#take(message) {
		const { type, client_id, code } = message;
		if (type === 'connected') this.#welcome(message);
		else if (type === 'peer_joined') this.#add(message);
		else if (type === 'peer_left') this.#remove(client_id);
		else if (type === 'ack') this.outbox.take(message);
		else if (type === 'error') {
			const known = this.outbox.take(message);
			const minor = !known && message.msg_id === undefined && message.retry;
			if (minor && this.link.state === 'online') return;
		}
		this.#pass(message);
		if (type === 'connected') this.outbox.resume();
		if (code === 'forbidden_client_id') {
			this.link.forget();
			this.link.open();
		}
	}

	#welcome({ ice_servers, limits, resumed, peers }) {
		this.iceServers = ice_servers ?? [];
		this.resumeWindow_s = limits?.resume_window_s ?? 0;
		this.welcomedAt = now();
		if (resumed) return; // what changed meanwhile comes next, as messages
		const before = this.senders;
		this.senders = new Map();
		for (const peer of peers ?? []) this.#add(peer, before);
	}

	#add({ client_id, role, name, cameras }, before) {
		if (role !== 'sender') return;
		this.#remove(client_id);
		for (const id of cameras?.map((camera) => `${camera}@${client_id}`) ?? [client_id]) {
			const joinedAt = before?.get(id)?.joinedAt ?? now();
			this.senders.set(id, { client_id: id, name: cameras ? id : name, joinedAt });
		}
	}

	#remove(sender) {
		for (const id of this.senders.keys()) if (senderOf(id) === sender) this.senders.delete(id);
	}
}

export class ViewerClient extends EventTarget {
	detail = { state: 'connecting', cause: null };
	#server;
	media = null;
	#left = null;
	#failure = null;
	#attempt = 0;
	#timer;

	constructor({ url = new URL('ws', import.meta.url), token = '', camera, all, server } = {}) {
		super();
		Object.assign(this, { camera: camera ?? null, all });
		this.#server = server ?? new Server(url, token);
	}

	get pc() { return this.media?.pc; }
	get timing() { return this.media?.parts[0].timing; }
	get state() { return this.detail.state; }
	get clientId() { return this.#server.link.clientId; }
	get host() { return this.#server.link.url.host; }
	get senders() { return this.#server.senders; }
	get sender() { return this.media?.sender ?? this.#choose(); }

	start(opens = true) {
		clearInterval(this.#timer);
		this.#timer = setInterval(() => this.#tick(), TICK_S * 1000);
		this.#server.clients.set(this, (message) => this.#take(message));
		if (opens) this.#server.link.open();
		else this.#take({});
	}

	stop() {
		clearInterval(this.#timer);
		this.#server.clients.delete(this);
		if (this.#server.clients.size) this.#leave();
		else this.#server.link.close();
		this.#endMedia();
	}

	choose(camera, all) {
		Object.assign(this, { camera, all });
		if (this.media && String(this.media.ids) !== String(this.#wanted())) this.#leave();
		this.#failure = this.#left = null;
		this.#take({});
	}

	beside(camera) {
		for (const one of this.#server.clients.keys()) {
			if (one.all && senderOf(one.sender) === senderOf(camera)) return one;
		}
		const other = new ViewerClient({ camera, all: true, server: this.#server });
		other.start(false);
		return other;
	}

	wake() { this.#server.link.wake(); }

	login(token) { this.#server.link.login(token); }

	#take(message) {
		const { media } = this;
		switch (message.type) {
			case 'connected':
				if (message.resumed) break;
				if (media && !media.connected) this.#endMedia();
				this.#failure = null;
				break;
			case 'peer_joined': this.#onJoined(message); break;
			case 'peer_left':
				if (senderOf(media?.sender) !== message.client_id) break;
				this.#left = message;
				if (!media.connected) this.#endMedia();
				break;
			case 'offer': this.#onOffer(message); break;
			case 'answer':
			case 'ice_candidate':
				if (this.#isOurs(message)) this.#inOrder((current) => current.take(message));
				break;
			case 'bye': this.#onBye(message); break;
			case 'error':
				if (message.code !== 'expired') this.#tell('error', message);
				else if (media?.isOpen(message.msg_id)) this.#endMedia();
				break;
		}
		this.#decide();
		this.#update();
	}

	#onJoined({ client_id }) {
		if (!this.#wants(client_id)) return;
		this.#left = this.#failure = null;
		this.#attempt = 0;
		const { media } = this;
		if (senderOf(media?.sender) !== client_id || media.connected) return;
		if (media.waits) Object.assign(media, { queued: false, startedAt: now() });
		else this.#endMedia();
	}

	#onOffer(message) {
		const { media } = this;
		if (!(media ? this.#isOurs(message) : this.#wants(message.sender_id))) return;
		if (!media?.isOfSameEnd(message.sdp)) {
			this.#newMedia(message.sender_id ?? media?.sender ?? this.#choose());
		}
		this.#inOrder((current) => current.answer(message));
	}

	#onBye(message) {
		const { offer_id, reason, retry_after_s, camera } = message;
		if (!this.#isOurs(message) || !this.media?.isFrom(offer_id)) return;
		const part = this.media.parts.find(({ name }) => name === camera);
		if (camera && part) part.offAt = now();
		else this.#failSetup(/busy|disabled|lost/.test(reason) ? reason : 'ended', retry_after_s);
	}

	#isOurs({ sender_id }) { return !sender_id || sender_id === senderOf(this.media?.sender); }

	#wants(sender_id) { return senderOf(this.camera ?? sender_id) === sender_id; }

	#post(media, message) {
		const { type } = message;
		const isDescription = type !== 'ice_candidate';
		return this.#server.outbox.post({ ...message, sender_id: senderOf(media.sender) }, {
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

	#inOrder(step) {
		const { media } = this;
		if (!media) return;
		media.work = media.work.then(async () => {
			if (media !== this.media) return;
			try {
				await step(media);
			} catch (error) {
				if (media === this.media) this.#webRtcFailed(error, media.connected);
			}
			this.#update();
		});
	}

	#webRtcFailed(error, connected) {
		this.#tell('error', { code: 'webrtc', message: error.message });
		if (!connected) this.#failSetup('webrtc');
	}

	async #tick() {
		const { media } = this;
		if (media) {
			await media.poll().catch(() => {});
			if (media === this.media) this.#report(media);
			if (!media.flows(DEAD_IF_NEW_S)) this.#server.link.probe();
			this.#tell('media', media);
		}
		this.#decide();
		this.#update();
	}

	#report(media) {
		const { link, senders } = this.#server;
		const told = link.state === 'online' && senders.has(media.sender);
		const ids = { client_id: this.clientId, sender_id: senderOf(media.sender) };
		for (const stats of media.report(told)) {
			if (told) link.send({ type: 'stats', ...ids, ...stats });
		}
	}

	#choose() {
		const { senders } = this.#server;
		const wish = this.camera ?? this.media?.sender;
		if (senders.has(wish)) return wish;
		return this.camera === null ? senders.keys().next().value : undefined;
	}

	#wanted(sender = this.#choose()) {
		const isBeside = (id) => this.all && id !== sender && senderOf(id) === senderOf(sender);
		return [sender, ...[...this.senders.keys()].filter(isBeside)];
	}

	#decide() {
		const { media } = this;
		if (media?.connected && !media.over) this.#attempt = 0;
		if (media && !media.connected) this.#judgeSetup(media);
		if (this.#server.link.state !== 'online') return;
		if (this.#failure && now() < this.#failure.retryAt) return;
		const sender = this.#choose();
		if (sender === undefined || (this.media && !this.#isDead())) return;
		if (this.media) this.wake(); // or is it the whole network?
		this.#newMedia(sender);
		this.#inOrder((fresh) => fresh.offer());
	}

	#isDead() {
		const { media } = this;
		if (!media.connected) return false;
		const joined = this.senders.get(this.#choose())?.joinedAt ?? 0;
		return !media.flows(joined > media.startedAt ? DEAD_IF_NEW_S : DEAD_S);
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
			const media = this.media = new Media(
				this.#wanted(sender), this.#server.iceServers, (message) => this.#post(media, message),
				(source) => this.#tell('track', source), () => this.#take({}),
			);
		} catch (error) {
			this.#webRtcFailed(error);
		}
	}

	#leave() {
		const { clientId: client_id } = this;
		const sender_id = senderOf(this.media?.sender);
		if (sender_id) this.#server.link.send({ type: 'bye', reason: 'ended', client_id, sender_id });
		this.#endMedia();
	}

	#endMedia() {
		if (this.media) this.#tell('end', this.media);
		this.media?.close();
		this.#server.outbox.drop(this.media);
		this.media = null;
	}

	#tell(type, detail) {
		this.dispatchEvent(new CustomEvent(type, { detail }));
	}

	#update() {
		const detail = describeState({
			link: this.#server.link, media: this.media, senders: this.senders, camera: this.camera,
			left: this.#left, failure: this.#failure, here: this.#choose(),
		});
		if (JSON.stringify(detail) === JSON.stringify(this.detail)) return;
		this.detail = detail;
		this.#tell('state', detail);
	}
}

export function connect(options) {
	const client = new ViewerClient(options);
	client.start();
	return client;
}
