/**
 * The WebSocket to the signaling server (docs/protocol.md): logging in, staying, resuming.
 */

const BACK_OFF_FIRST_S = 0.5;
const BACK_OFF_MOST_S = 30;
const CONNECT_TIMEOUT_S = 10; // for the WebSocket, and once more for the log-in
const STEADY_S = 5; // a link that held for so long starts its back-off from the beginning
const PROBE_S = 3;
const ERROR_BELONGS_S = 2; // an error so shortly before the end is the reason of the end
const LATER_S = 5; // "yes, later": not before
const MAX_TOKEN_LENGTH = 4096;

const CLOSE_NORMAL = 1000;
const CLOSE_TO_COME_BACK = 4000; // says to the server that this is no goodbye
const CLOSE_LOST = 1006;
const CLOSE_FULL = 1013;
const CLOSE_VIOLATIONS = 4400;
const CLOSE_UNAUTHORIZED = 4401;
const CLOSE_NAME_TAKEN = 4423;
const CLOSES_FOR_GOOD = new Set([
	1002, 1003, 1007, 1009, CLOSE_VIOLATIONS, 4403, 4404, 4409, CLOSE_NAME_TAKEN,
]);
const CLOSES_FOR_LATER = new Set([CLOSE_FULL, 4429]);

const now = () => performance.now();

/** Return a back-off in s with full jitter; `attempt` counts from 0. */
export function backOff_s(attempt) {
	return Math.random() * Math.min(BACK_OFF_MOST_S, BACK_OFF_FIRST_S * 2 ** attempt);
}

/** Keep one WebSocket to the signaling server, logged in, for as long as the server wants us. */
export class Link {
	state = 'idle'; // idle | connecting | authenticating | online | offline | refused | failed
	cause = null; // why it is not online: {kind, code?, error?}
	retryAt = null; // ms on the clock of performance.now()
	wasOnline = false;
	clientId = null;
	#resumeToken = null;
	#lastSeq = 0;
	#socket = null;
	#attempt = 0;
	#onlineSince = Infinity;
	#heardAt = 0;
	#answersPings = false;
	#error = null;
	#errorAt = -Infinity;
	#retryTimer;
	#deadline;
	#heartbeat;

	constructor(url, token, onChange, onMessage) {
		this.url = url;
		this.token = token;
		this.onChange = onChange;
		this.onMessage = onMessage;
	}

	open() {
		this.#drop();
		if (this.token.length > MAX_TOKEN_LENGTH) {
			this.#set('refused', { kind: 'long_token' }); // the server could not even read it
			return;
		}
		this.#set('connecting', this.cause);
		const url = new URL(this.url);
		url.searchParams.set('role', 'receiver');
		url.searchParams.set('auth', 'message');
		// Under its name it gets its own place again where all are taken.
		if (this.clientId) url.searchParams.set('client_id', this.clientId);
		const socket = new WebSocket(url);
		this.#socket = socket;
		this.#expectWithin(CONNECT_TIMEOUT_S);
		socket.onopen = () => {
			this.#expectWithin(CONNECT_TIMEOUT_S);
			this.#set('authenticating');
			this.send(this.#credentials());
		};
		socket.onmessage = (event) => this.#take(event.data);
		socket.onclose = (event) => this.#lost(event.code);
	}

	/** Close for good, telling the server so that it need not wait for us. */
	close() {
		this.send({ type: 'leave' });
		this.#drop(CLOSE_NORMAL);
		this.#set('idle');
	}

	/** Log in afresh with another token; no `leave`, or the robot would end the video. */
	login(token) {
		this.token = token;
		this.#attempt = 0;
		this.open();
	}

	/** Come back under a new id. */
	renew() {
		this.#forget();
		this.open();
	}

	/** Try at once instead of at the end of the back-off; test a link that may have died asleep. */
	wake() {
		if (this.state === 'offline') {
			this.#attempt = 0;
			this.open();
		} else if (this.state === 'online' && this.#answersPings) {
			const asked = now();
			const socket = this.#socket;
			this.send({ type: 'ping' });
			setTimeout(() => {
				if (socket === this.#socket && this.#heardAt < asked) this.#lost(CLOSE_LOST);
			}, PROBE_S * 1000);
		}
	}

	/** Send a message; return whether there was a socket to take it. */
	send(message) {
		if (this.#socket?.readyState !== WebSocket.OPEN) return false;
		this.#socket.send(JSON.stringify(message));
		return true;
	}

	#credentials() {
		const message = { type: 'authenticate', token: this.token };
		if (this.clientId) message.client_id = this.clientId;
		if (!this.#resumeToken) return message;
		return { ...message, resume_token: this.#resumeToken, last_seq: this.#lastSeq };
	}

	/** Give the name up, and with it what could be resumed under it. */
	#forget() {
		this.clientId = this.#resumeToken = null;
		this.#lastSeq = 0;
	}

	#set(state, cause = null, retryAt = null) {
		Object.assign(this, { state, cause, retryAt });
		this.onChange();
	}

	#expectWithin(seconds) {
		clearTimeout(this.#deadline);
		this.#deadline = setTimeout(() => this.#lost(CLOSE_LOST), seconds * 1000);
	}

	/** Forget the socket at once: on a dead network its close event may take minutes. */
	#drop(code = CLOSE_TO_COME_BACK) {
		clearTimeout(this.#retryTimer);
		clearTimeout(this.#deadline);
		clearInterval(this.#heartbeat);
		const socket = this.#socket;
		this.#socket = null;
		this.#answersPings = false;
		if (!socket) return;
		socket.onopen = socket.onmessage = socket.onclose = null;
		socket.close(code);
	}

	#take(text) {
		this.#heardAt = now();
		let message;
		try {
			message = JSON.parse(text);
		} catch {
			return; // not ours to answer: the server speaks JSON or is no server of ours
		}
		if (message.type === 'connected') {
			this.#welcome(message);
		} else if (message.type === 'ping') {
			const echo = message.msg_id === undefined ? {} : { msg_id: message.msg_id };
			this.send({ type: 'pong', ...echo });
		} else if (message.type === 'pong') {
			this.#answersPings = true;
		} else if (!this.#isRepeated(message.seq)) {
			if (message.type === 'error') {
				this.#error = message;
				this.#errorAt = now();
			}
			this.onMessage(message);
			// Not welcome with this `authenticate`, and not with the same one again.
			const unread = message.type === 'error' && message.code === 'invalid_message';
			if (unread && this.state === 'authenticating') this.#lost(CLOSE_VIOLATIONS);
		}
	}

	#isRepeated(seq) {
		if (typeof seq !== 'number') return false;
		if (seq <= this.#lastSeq) return true;
		this.#lastSeq = seq;
		return false;
	}

	#welcome(message) {
		clearTimeout(this.#deadline);
		this.clientId = message.client_id;
		this.#resumeToken = message.resume_token ?? null;
		if (!message.resumed) this.#lastSeq = 0;
		this.wasOnline = true;
		this.#onlineSince = now();
		// A browser is not shown WebSocket pings, so a silent death shows only by pings of our own.
		const timeout_s = message.timeout_s ?? 30;
		const heartbeat_s = message.heartbeat_s || timeout_s / 3;
		this.#heartbeat = setInterval(() => {
			const silent = now() - this.#heardAt > timeout_s * 1000;
			if (silent && this.#answersPings) this.#lost(CLOSE_LOST);
			else this.send({ type: 'ping' });
		}, heartbeat_s * 1000);
		this.send({ type: 'ping' });
		this.state = 'online';
		this.onMessage(message);
		this.#set('online');
	}

	#lost(code) {
		const opened = this.state !== 'connecting';
		const error = now() - this.#errorAt < ERROR_BELONGS_S * 1000 ? this.#error : null;
		this.#drop();
		const { kind } = this.cause ?? {};
		const known = ['full', 'unwell'].includes(kind) ? kind : 'unreachable'; // until diagnosed anew
		const lost = code === CLOSE_FULL ? 'full' : 'lost';
		const cause = { kind: opened ? lost : known, code, error };
		if (code === CLOSE_UNAUTHORIZED || error?.code === 'unauthorized') {
			this.#set('refused', cause);
			return;
		}
		// A name of an earlier session that another has now is given up for a new one.
		if (code === CLOSE_NAME_TAKEN && this.clientId) this.#forget();
		else if (CLOSES_FOR_GOOD.has(code)) {
			this.#set('failed', cause);
			return;
		}
		if (now() - this.#onlineSince > STEADY_S * 1000) this.#attempt = 0;
		this.#onlineSince = Infinity;
		const atLeast_s = error?.retry_after_s ?? (CLOSES_FOR_LATER.has(code) ? LATER_S : 0);
		const wait_s = Math.max(backOff_s(this.#attempt++), atLeast_s);
		this.#retryTimer = setTimeout(() => this.open(), wait_s * 1000);
		this.#set('offline', cause, now() + wait_s * 1000);
		if (!opened) this.#diagnose(cause);
	}

	/** Find out why no WebSocket came about: a browser tells a page nothing but code 1006. */
	async #diagnose(cause) {
		const url = new URL('healthz', this.url);
		url.protocol = url.protocol.replace('ws', 'http');
		url.search = '';
		try {
			const signal = AbortSignal.timeout(PROBE_S * 1000);
			const response = await fetch(url, { mode: 'no-cors', cache: 'no-store', signal });
			// Of a server elsewhere nothing can be read but that it is there.
			cause.kind = response.status === 503 ? 'unwell' : 'full';
		} catch {
			cause.kind = navigator.onLine === false ? 'no_network' : 'unreachable';
		}
		if (this.cause === cause) this.onChange();
	}
}
