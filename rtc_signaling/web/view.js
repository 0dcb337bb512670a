import { describe, describeAge } from './text.js';

const FROZEN_AFTER_MS = 2000;
const SILENT_AFTER_MS = 3000;
const FPS_OVER_MS = 2000;

const now = () => performance.now();

export class View {
	static visibleSince = 0;
	blocked = false; // until a click
	metadata = null; // of the picture on the screen
	#sender; // whose pictures these are
	#shownAt = null; // before the first picture
	#liveSince = 0;
	#silentAt;
	#count = 0;
	#recent = []; // {at, count}
	#decoded = 0;

	constructor(video, client, id, until = {}) {
		Object.assign(this, { video, client, id });
		client.addEventListener('state', () => {
			this.#liveSince = client.state === 'live' && (this.#liveSince || now());
		}, until);
		client.addEventListener('media', () => {
			const { framesDecoded = this.#decoded } = this.part?.stats ?? {};
			const fresh = framesDecoded - this.#decoded;
			const blind = document.hidden || !video.requestVideoFrameCallback;
			if (fresh > 0 && blind) this.#presented(fresh);
			this.#decoded += fresh;
		}, until);
		client.addEventListener('end', () => video.pause(), until);
		client.addEventListener('track', ({ detail }) => {
			if (detail.part !== this.part) return;
			video.srcObject = detail.stream;
			this.play();
		}, until);
		this.#awaitFrame();
	}

	get part() { return this.client.media?.parts.find(({ id }) => id === (this.id ?? id)); }

	play() {
		const end = (error) => { this.blocked = error?.name === 'NotAllowedError'; };
		this.video.play().then(end, end);
	}

	get fps() {
		const [first, last] = [this.#recent[0], this.#recent.at(-1)];
		const span_s = (last?.at - first?.at) / 1000;
		return span_s > 1 ? (last.count - first.count) / span_s : undefined;
	}

	read() {
		const { client } = this;
		if (client.sender && client.sender !== this.#sender) this.#reset();
		const shown = this.#shownAt !== null;
		const frozen_ms = shown || client.state === 'live' ? this.#frozen_ms() : 0;
		const frozen = frozen_ms ? this.#frozenCause() : null;
		// An old picture, while the first of a new connection is on its way.
		const starts = !this.part?.framesAt && now() - this.#liveSince < FROZEN_AFTER_MS;
		return {
			shown,
			moves: shown && !frozen,
			frozenFor: shown && frozen ? `frozen for ${(frozen_ms / 1000).toFixed(1)} s` : '',
			age: describeAge(this.part?.timing.latency),
			...describe(client.detail, shown && !starts, !starts && frozen, client.host),
		};
	}

	#reset() {
		if (this.#sender) this.video.srcObject = null;
		this.#sender = this.client.sender;
		this.#shownAt = null;
		this.#recent = [];
	}

	#awaitFrame() {
		this.video.requestVideoFrameCallback?.((_, metadata) => {
			const fresh = metadata.presentedFrames - this.metadata?.presentedFrames;
			this.metadata = metadata;
			this.part?.timing.presented(metadata);
			if (this.client.media?.connected) this.#presented(fresh > 0 ? fresh : 1);
			this.#awaitFrame();
		});
	}

	#presented(frames) {
		const at = this.#shownAt = now();
		this.#count += frames;
		this.#recent = this.#recent.filter((one) => at - one.at < FPS_OVER_MS);
		this.#recent.push({ at, count: this.#count });
	}

	#frozen_ms() {
		const since = this.#shownAt ?? this.#liveSince;
		const seen_ms = now() - Math.max(since, View.visibleSince);
		return document.hidden || seen_ms < FROZEN_AFTER_MS ? 0 : now() - since;
	}

	#frozenCause() {
		const { bytesAt } = this.client.media ?? {};
		const { framesAt, offAt } = this.part ?? {};
		const isOld = (at) => !at || now() - at > SILENT_AFTER_MS;
		if (framesAt - offAt < SILENT_AFTER_MS) return 'off';
		if (isOld(bytesAt)) this.#silentAt = now();
		return !isOld(this.#silentAt) ? 'silent' : isOld(framesAt) ? 'camera' : 'none';
	}
}
