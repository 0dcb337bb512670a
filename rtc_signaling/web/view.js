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

	constructor(video, client) {
		Object.assign(this, { video, client });
		client.addEventListener('state', () => {
			this.#liveSince = client.state === 'live' && (this.#liveSince || now());
		});
		client.addEventListener('media', ({ detail: { stats } }) => {
			const fresh = stats.framesDecoded - this.#decoded;
			// Presented ones do not count in an old browser and in a hidden page.
			const blind = document.hidden || !video.requestVideoFrameCallback;
			if (fresh > 0 && blind) this.#presented(fresh);
			this.#decoded += fresh;
		});
		client.addEventListener('end', () => video.pause()); // or it would turn black
		client.addEventListener('track', ({ detail }) => {
			video.srcObject = detail.stream;
			this.play();
		});
		this.#awaitFrame();
	}

	play() {
		// Any other reason mends itself.
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
		// Nothing rather than the picture of another camera.
		if (client.sender && client.sender !== this.#sender) this.#reset();
		const shown = this.#shownAt !== null;
		const frozen_ms = shown || client.state === 'live' ? this.#frozen_ms() : 0;
		const frozen = frozen_ms ? this.#frozenCause() : null;
		// An old picture, while the first of a new connection is on its way.
		const starts = !client.media?.framesAt && now() - this.#liveSince < FROZEN_AFTER_MS;
		return {
			shown,
			moves: shown && !frozen,
			frozenFor: shown && frozen ? `frozen for ${(frozen_ms / 1000).toFixed(1)} s` : '',
			age: describeAge(client.timing?.latency),
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
			this.client.timing?.presented(metadata);
			// The black of an ended video is no picture.
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
		const { bytesAt, framesAt } = this.client.media ?? {};
		const isOld = (at) => !at || now() - at > SILENT_AFTER_MS;
		if (isOld(bytesAt)) this.#silentAt = now();
		return !isOld(this.#silentAt) ? 'silent' : isOld(framesAt) ? 'camera' : 'none';
	}
}
