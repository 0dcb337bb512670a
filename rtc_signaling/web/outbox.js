/**
 * Messages that have to arrive (docs/protocol.md, 5).
 */

import { backOff_s } from './link.js';

const ANSWER_S = 5; // without an answer for so long a message goes out again
const GIVE_UP_S = 30;

const now = () => performance.now();

/**
 * Keep messages, in order, until the server has acknowledged or refused them.
 *
 * Under its id the server takes each once, however often it comes. What is unanswered when the
 * link breaks goes out again when it is back. A message that is `alone` waits for the answers to
 * all before it, and all after it wait for its own: a candidate is of no use before its offer.
 */
export class Outbox {
	#write;
	#entries = [];
	#online = false;
	// Ids of another page must not look like repetitions of this one's.
	#prefix = Math.random().toString(36).slice(2, 10);
	#count = 0;

	/** `write` sends a message and returns whether the link took it. */
	constructor(write) {
		this.#write = write;
	}

	/**
	 * Send a message, now or when its turn comes; return its id.
	 *
	 * Args:
	 *   message: It, without `msg_id`.
	 *   owner: What the message makes no sense without; see `drop`.
	 *   alone: See the class.
	 *   onEnd: Called once with {status} of the ack, or with {error} when it was refused or not
	 *     taken in time; not at all when it was dropped.
	 */
	post(message, { owner, alone, onEnd }) {
		const msg_id = `${this.#prefix}.${++this.#count}`;
		this.#entries.push({
			message: { ...message, msg_id }, owner, alone, onEnd,
			state: 'ready', // ready | sent | resting
			attempt: 0, since: now(), timer: null,
		});
		this.#flush();
		return msg_id;
	}

	/** Take an ack or an error; return whether it answers a message that is kept here. */
	take({ type, msg_id, status, ...error }) {
		const entry = this.#entries.find(({ message }) => message.msg_id === msg_id);
		if (!entry) return false;
		if (type === 'ack') this.#end(entry, { status });
		else if (error.retry) this.#again(entry, error);
		else this.#end(entry, { error });
		return true;
	}

	/** Forget what belongs to `owner`: it is outdated. */
	drop(owner) {
		for (const entry of this.#entries) if (entry.owner === owner) clearTimeout(entry.timer);
		this.#entries = this.#entries.filter((entry) => entry.owner !== owner);
		this.#flush();
	}

	/** Wait for the link to come back. */
	pause() {
		this.#online = false;
		for (const entry of this.#entries) clearTimeout(entry.timer);
	}

	/** Send what is unanswered (again): the server has let us in. */
	resume() {
		this.#online = true;
		for (const entry of this.#entries) {
			clearTimeout(entry.timer);
			Object.assign(entry, { state: 'ready', attempt: 0, since: now() });
		}
		this.#flush();
	}

	#flush() {
		if (!this.#online) return;
		for (const [place, entry] of this.#entries.entries()) {
			if (entry.alone && place > 0) return;
			if (entry.state === 'ready' && this.#write(entry.message)) {
				entry.state = 'sent';
				const silence = { code: 'no_ack', message: '' };
				entry.timer = setTimeout(() => this.#again(entry, silence), ANSWER_S * 1000);
			}
			if (entry.alone) return;
		}
	}

	#again(entry, error) {
		clearTimeout(entry.timer);
		if (now() - entry.since > GIVE_UP_S * 1000) {
			this.#end(entry, { error });
			return;
		}
		entry.state = 'resting';
		const wait_s = Math.max(backOff_s(entry.attempt++), error.retry_after_s ?? 0);
		entry.timer = setTimeout(() => {
			entry.state = 'ready';
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
