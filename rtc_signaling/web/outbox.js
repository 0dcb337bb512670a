import { backOff_s, now } from './link.js';

const ANSWER_S = 5;
const GIVE_UP_S = 30;

export class Outbox {
	#write;
	#entries = [];
	#online = false;
	#prefix = Math.random().toString(36).slice(2, 10);
	#count = 0;

	constructor(write) { this.#write = write; }

	post(message, options) { // owner, alone, onEnd
		const msg_id = `${this.#prefix}.${++this.#count}`;
		this.#entries.push({
			message: { ...message, msg_id }, ...options,
			attempt: 0, since: now(), timer: null, // until it was sent
		});
		this.#flush();
		return msg_id;
	}

	take({ type, msg_id, status, ...error }) {
		const entry = this.#entries.find(({ message }) => message.msg_id === msg_id);
		if (!entry) return false;
		if (error.retry) this.#again(entry, error);
		else this.#end(entry, type === 'ack' ? { status } : { error });
		return true;
	}

	drop(owner) {
		for (const entry of this.#entries) if (entry.owner === owner) clearTimeout(entry.timer);
		this.#entries = this.#entries.filter((entry) => entry.owner !== owner);
		this.#flush();
	}

	pause() {
		this.#online = false;
		for (const entry of this.#entries) clearTimeout(entry.timer);
	}

	resume() {
		this.#online = true;
		for (const entry of this.#entries) {
			clearTimeout(entry.timer);
			Object.assign(entry, { timer: null, attempt: 0, since: now() });
		}
		this.#flush();
	}

	#flush() {
		if (!this.#online) return;
		for (const [place, entry] of this.#entries.entries()) {
			if (entry.alone && place > 0) return;
			if (!entry.timer && this.#write(entry.message)) {
				const silence = { code: 'no_ack', message: '' };
				entry.timer = setTimeout(() => this.#again(entry, silence), ANSWER_S * 1000);
			}
			if (entry.alone) return;
		}
	}

	#again(entry, error) {
		clearTimeout(entry.timer);
		if (now() - entry.since > GIVE_UP_S * 1000) return this.#end(entry, { error });
		const wait_s = Math.max(backOff_s(entry.attempt++), error.retry_after_s ?? 0);
		entry.timer = setTimeout(() => {
			entry.timer = null;
			this.#flush();
		}, wait_s * 1000);
	}

	#end(entry, result) {
		clearTimeout(entry.timer);
		this.#entries.splice(this.#entries.indexOf(entry), 1);
		entry.onEnd(result);
		this.#flush();
	}
}
