/** One camera on the screen: what its video element really shows. */

import { describe, describeAge } from './text.js';

const FROZEN_AFTER_MS = 2000;
const SILENT_AFTER_S = 3;
const FPS_OVER_MS = 2000;

export class View {
	static visibleSince = 0; // ms of performance.now(), as all times here
	blocked = false; // whether the browser wants a click before it plays
	metadata = null; // of requestVideoFrameCallback, of the picture on the screen
	#sender = null; // whose pictures these are
	#shownAt = null; // null before the first picture
	#liveSince = 0;
	#recent = []; // {at, frames} of the last FPS_OVER_MS
	#decoded = 0;

	constructor(video, client) {
		Object.assign(this, { video, client });
		client.addEventListener('state', () => {
			if (client.state !== 'live') this.#liveSince = 0;
			else this.#liveSince ||= performance.now();
		});
		client.addEventListener('media', ({ detail }) => this.#onFigures(detail.frames));
		client.addEventListener('track', ({ detail }) => {
			video.srcObject = detail.stream;
			this.metadata = null;
			this.play();
		});
		this.#awaitFrame();
	}

	play() {
		const blocked = (error) => {
			// Any other reason (a newer source, above all) mends itself.
			this.blocked = error?.name === 'NotAllowedError';
		};
		this.video.play().then(blocked, blocked);
	}

	/** The pictures a second, or null while too few are known. */
	get fps() {
		const [first, ...later] = this.#recent;
		const span_s = (this.#shownAt - first?.at) / 1000;
		if (!(span_s > FPS_OVER_MS / 2000)) return null;
		return later.reduce((sum, { frames }) => sum + frames, 0) / span_s;
	}

	/** Return {shown, frozen, frozenFor, age, ...}, and the words of `describe`. */
	read() {
		const { client } = this;
		if (client.sender && client.sender !== this.#sender) this.#reset();
		const shown = this.#shownAt !== null;
		const frozen_ms = shown || client.state === 'live' ? this.#frozen_ms() : 0;
		const frozen = frozen_ms > 0 ? this.#frozenCause() : null;
		return {
			shown,
			frozen,
			frozenFor: shown && frozen ? `frozen for ${(frozen_ms / 1000).toFixed(1)} s` : '',
			age: describeAge(client.timing?.latency),
			...describe(client.detail, { shown, frozen }, client.host),
		};
	}

	/** Show nothing rather than the picture of another camera. */
	#reset() {
		if (this.#sender) this.video.srcObject = null;
		this.#sender = this.client.sender;
		this.#shownAt = null;
		this.#recent = [];
	}

	#awaitFrame() {
		this.video.requestVideoFrameCallback?.((_, metadata) => {
			// The count starts again with a new source.
			const fresh = metadata.presentedFrames - this.metadata?.presentedFrames;
			this.metadata = metadata;
			this.client.timing?.presented(metadata);
			this.#presented(fresh > 0 ? fresh : 1);
			this.#awaitFrame();
		});
	}

	/** Count decoded pictures where presented ones cannot be: an old browser, a hidden page. */
	#onFigures(frames) {
		const cannotCount = document.hidden || !this.video.requestVideoFrameCallback;
		if (frames > this.#decoded && cannotCount) this.#presented(frames - this.#decoded);
		this.#decoded = frames;
	}

	#presented(frames) {
		const now = performance.now();
		if (now - this.#shownAt > FPS_OVER_MS) this.#recent = [];
		this.#shownAt = now;
		this.#recent.push({ at: now, frames });
		while (now - this.#recent[0].at > FPS_OVER_MS) this.#recent.shift();
	}

	/** Return for how many ms the picture has stood still; 0 while it moves. */
	#frozen_ms() {
		const since = this.#shownAt ?? this.#liveSince;
		const reference = Math.max(since, View.visibleSince);
		const now = performance.now();
		return document.hidden || now - reference < FROZEN_AFTER_MS ? 0 : now - since;
	}

	#frozenCause() {
		const { bytesAge_s, framesAge_s } = this.client.figures;
		if (bytesAge_s === null || bytesAge_s > SILENT_AFTER_S) return 'silent';
		return framesAge_s === null || framesAge_s > SILENT_AFTER_S ? 'camera' : 'none';
	}
}
