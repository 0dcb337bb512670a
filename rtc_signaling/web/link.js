const BACK_OFF_FIRST_S = 0.5;
const BACK_OFF_MOST_S = 8;
const CONNECT_TIMEOUT_MS = 10000;
const STEADY_S = 5;
const PROBE_MS = 3000;
const ERROR_BELONGS_S = 2; // to the end that comes so soon after it
const LATER_S = 5;

const FULL = 1013;
const VIOLATIONS = 4400;
const NAME_TAKEN = 4423;
const FOR_GOOD = [1002, 1003, 1007, 1009, VIOLATIONS, 4403, 4404, 4409, NAME_TAKEN];

export const now = () => performance.now();

export function backOff_s(attempt) {
	return Math.random() * Math.min(BACK_OFF_MOST_S, BACK_OFF_FIRST_S * 2 ** attempt);
}

export class Link {
	state = 'idle';
	cause = null; // {kind, code?, error?}
	retryAt = null;
	wasOnline = false;
	clientId;
	#resumeToken;
	#lastSeq = 0;
	#socket;
	#attempt = 0;
	#onlineSince = Infinity;
	#heardAt = 0;
	#answersPings = false;
	#error = null;
	#errorAt = -Infinity;
	#timer; // of the next attempt, or this one's deadline
	#heartbeat;
	#askedAt = -PROBE_MS;

	constructor(url, token, onChange, onMessage) {
		Object.assign(this, { url, token, onChange, onMessage });
	}

	open() {
		this.#drop();
		this.#set('connecting', this.cause);
		const url = new URL(this.url);
		url.searchParams.set('role', 'receiver');
		url.searchParams.set('auth', 'message');
		if (this.clientId) url.searchParams.set('client_id', this.clientId);
		const socket = new WebSocket(url);
		this.#socket = socket;
		this.#expect();
		socket.onopen = () => {
			this.#expect();
			this.#set('authenticating');
			this.send({
				type: 'authenticate', token: this.token, client_id: this.clientId,
				resume_token: this.#resumeToken, last_seq: this.#resumeToken && this.#lastSeq,
			});
		};
		socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
		socket.onclose = ({ code }) => this.#lost(code);
	}

	close() {
		this.send({ type: 'leave' });
		this.#drop(1000);
		this.#set('idle');
	}

	login(token) {
		this.token = token;
		this.#attempt = 0;
		this.open();
	}

	wake() {
		if (this.state === 'offline') this.login(this.token);
		else this.probe();
	}

	probe() {
		const asked = now();
		if (asked - this.#askedAt < PROBE_MS) return;
		this.#askedAt = asked;
		const socket = this.#socket;
		this.send({ type: 'ping' });
		setTimeout(() => {
			const silent = this.#answersPings && this.#heardAt < asked;
			if (silent && socket === this.#socket) this.#lost();
		}, PROBE_MS);
	}

	send(message) {
		if (this.#socket?.readyState !== WebSocket.OPEN) return false;
		this.#socket.send(JSON.stringify(message));
		return true;
	}

	forget() { this.clientId = this.#resumeToken = undefined; }

	#set(state, cause = null, retryAt = null) {
		Object.assign(this, { state, cause, retryAt });
		this.onChange();
	}

	#expect() {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.#lost(), CONNECT_TIMEOUT_MS);
	}

	#drop(code = 4000) {
		clearTimeout(this.#timer);
		clearInterval(this.#heartbeat);
		const socket = this.#socket;
		this.#socket = undefined;
		this.#answersPings = false;
		this.#askedAt = -PROBE_MS;
		if (!socket) return;
		socket.onopen = socket.onmessage = socket.onclose = null;
		socket.close(code);
	}

	#take(message) {
		const { type, seq, msg_id, code } = message;
		this.#heardAt = now();
		if (type === 'connected') this.#welcome(message);
		else if (type === 'ping') this.send({ type: 'pong', msg_id });
		else if (type === 'pong') this.#answersPings = true;
		else if (!(seq <= this.#lastSeq)) {
			this.#lastSeq = seq ?? this.#lastSeq;
			if (type === 'error') {
				this.#error = message;
				this.#errorAt = now();
			}
			this.onMessage(message);
			if (code === 'invalid_message' && this.state === 'authenticating') this.#lost(VIOLATIONS);
		}
	}

	#welcome(message) {
		const { client_id, resume_token, resumed, timeout_s = 30, heartbeat_s } = message;
		clearTimeout(this.#timer);
		this.clientId = client_id;
		this.#resumeToken = resume_token;
		if (!resumed) this.#lastSeq = 0;
		this.wasOnline = true;
		this.#onlineSince = now();
		this.#heartbeat = setInterval(() => {
			const silent = now() - this.#heardAt > timeout_s * 1000;
			if (silent && this.#answersPings) this.#lost();
			else this.send({ type: 'ping' });
		}, (heartbeat_s || timeout_s / 3) * 1000);
		this.probe();
		this.state = 'online';
		this.onMessage(message);
		this.#set('online');
	}

	#lost(code) { // without one it does not answer
		const ended = code && this.state !== 'connecting';
		const error = now() - this.#errorAt < ERROR_BELONGS_S * 1000 ? this.#error : null;
		this.#drop();
		const before = this.cause?.kind;
		const known = !before || before === 'lost' ? 'unreachable' : before;
		const lost = code === FULL ? 'full' : 'lost';
		const cause = { kind: ended ? lost : known, code, error };
		if (code === 4401 || error?.code === 'unauthorized') return this.#set('refused', cause);
		if (code === NAME_TAKEN && this.clientId) this.forget();
		else if (FOR_GOOD.includes(code)) return this.#set('failed', cause);
		if (now() - this.#onlineSince > STEADY_S * 1000) this.#attempt = 0;
		this.#onlineSince = Infinity;
		const atLeast_s = error?.retry_after_s ?? ([FULL, 4429].includes(code) ? LATER_S : 0);
		const wait_s = Math.max(backOff_s(this.#attempt++), atLeast_s);
		this.#timer = setTimeout(() => this.open(), wait_s * 1000);
		this.#set('offline', cause, now() + wait_s * 1000);
		// A network that is back by now looks like a refusal.
		const refused = code && !/unreachable|no_network/.test(before);
		if (!ended) this.#diagnose(cause, refused);
	}

	async #diagnose(cause, refused) {
		const url = new URL('healthz', this.url.href.replace('ws', 'http'));
		try {
			const signal = AbortSignal.timeout(PROBE_MS);
			const response = await fetch(url, { mode: 'no-cors', cache: 'no-store', signal });
			cause.kind = response.status === 503 ? 'unwell' : refused ? 'full' : null;
		} catch {
			cause.kind = navigator.onLine === false ? 'no_network' : 'unreachable';
		}
		if (this.cause === cause) this.onChange();
	}
}
