import { DEAD_S } from './state.js';
import { NO_STATS, readStats } from './stats.js';
import { Timing } from './timing.js';

const REPORT_MS = 1750; // every 2 s, polled twice a second

const now = () => performance.now();
const fingerprint = (sdp) => /^a=fingerprint:.*$/im.exec(sdp)?.[0];

class Part { // one camera's pictures
	framesAt = 0;
	stats = NO_STATS;
	details = null;
	timing = new Timing();
	#reported;

	constructor(id) { Object.assign(this, { id, name: id.split('@').at(-2) }); }

	read(report, track) {
		const { framesDecoded } = this.stats;
		this.stats = readStats(report, track);
		if (this.stats.framesDecoded !== framesDecoded) this.framesAt = now();
	}

	report(polledAt) {
		const { at, stats } = this.#reported ??= { at: polledAt, stats: NO_STATS };
		if (polledAt - at <= REPORT_MS) return null;
		const since = (name) => Math.max(this.stats[name] - stats[name], 0); // a loss is taken back
		const rate = (name) => (since(name) * 1000) / (polledAt - at);
		const { latency, sent_fps } = this.timing;
		const report = {
			fps: rate('framesDecoded'),
			bitrate_bps: rate('bytesReceived') * 8,
			rtt_ms: this.stats.rtt_s * 1000,
			jitter_ms: this.stats.jitter * 1000,
			loss: since('packetsLost') / (since('packetsLost') + since('packetsReceived')),
			freezes: this.stats.freezeCount,
			latency_ms: latency.p50_ms,
		};
		this.details = {
			...this.stats, ...report, sent_fps, latency_p95_ms: latency.p95_ms,
			received_fps: rate('framesReceived'),
		};
		this.#reported = { at: polledAt, stats: this.stats };
		const known = ([, value]) => Number.isFinite(value);
		return { camera: this.name, ...Object.fromEntries(Object.entries(report).filter(known)) };
	}
}

export class Media {
	offerId = crypto.getRandomValues(new Uint32Array(3)).join('-');
	offerMsgId = null;
	queued = false;
	answeredAt = null; // all by performance.now()
	failure = null;
	work = Promise.resolve(); // never settles once closed
	connectedAt = null;
	bytesAt = null;
	#polledAt = 0;
	#offeredAt = null;
	#described = false;
	#gathered = false;
	#ownCandidates = [];
	#remoteCandidates = [];
	#remoteSdp = '';
	#remoteOfferId;

	constructor(ids, iceServers, send, onTrack, onChange) {
		Object.assign(this, { ids, sender: ids[0], send, startedAt: now() });
		this.parts = ids.map((id) => new Part(id));
		this.pc = new RTCPeerConnection({ iceServers });
		this.pc.onicecandidate = ({ candidate }) => this.#ownCandidate(candidate);
		this.pc.onconnectionstatechange = () => {
			if (this.pc.connectionState === 'connected' && !this.connected) {
				this.connectedAt = this.bytesAt = now();
				this.#tellEnd();
			}
			onChange();
		};
		this.pc.ontrack = ({ track, streams, transceiver }) => {
			const part = this.parts[this.pc.getTransceivers().indexOf(transceiver)];
			const stream = streams[0] ?? new MediaStream([track]);
			const give = () => onTrack({ track, stream, part });
			if (track.muted) track.addEventListener('unmute', give, { once: true });
			else give();
		};
	}

	get over() { return this.failure || /failed|closed/.test(this.pc.connectionState); }
	get connected() { return this.connectedAt !== null; }
	get waits() { return this.queued && !this.answeredAt; }

	isOpen(msg_id) { return msg_id && msg_id === this.offerMsgId && !this.connected; }

	isOfSameEnd(sdp) {
		const known = fingerprint(this.#remoteSdp);
		return !this.over && known && known === fingerprint(sdp);
	}

	isFrom(offer_id) {
		return !offer_id || [this.offerId, this.#remoteOfferId].includes(offer_id);
	}

	flows(limit_s) {
		return this.connected && !this.over && this.#polledAt - this.bytesAt <= limit_s * 1000;
	}

	async offer() {
		for (const { timing } of this.parts) {
			timing.open(this.pc, this.pc.addTransceiver('video', { direction: 'recvonly' }));
		}
		await this.pc.setLocalDescription();
		this.#offeredAt = now();
		this.offerMsgId = this.#describe('offer', this.offerId);
	}

	async answer({ sdp, offer_id }) {
		this.#described = false;
		this.#remoteOfferId = offer_id;
		await this.#takeDescription('offer', sdp);
		await this.pc.setLocalDescription();
		this.#agreed();
		this.#describe('answer', offer_id);
		await this.#addCandidates();
	}

	async take(message) {
		const { type, sdp, offer_id = this.offerId } = message;
		if (type !== 'answer') {
			this.#remoteCandidates.push(message);
		} else if (offer_id === this.offerId && this.pc.signalingState === 'have-local-offer') {
			await this.#takeDescription(type, sdp);
			this.#agreed();
		}
		if (this.pc.remoteDescription) await this.#addCandidates();
	}

	async poll() {
		const [main] = this.parts;
		const { activity } = main.stats;
		const report = await this.pc.getStats();
		const tracks = this.parts[1] ? this.pc.getReceivers().map(({ track }) => track) : [];
		this.parts.forEach((part, place) => part.read(report, tracks[place]));
		this.#polledAt = now();
		if (main.stats.activity !== activity && this.connected) this.bytesAt = this.#polledAt;
	}

	report(told) {
		if (!this.flows(DEAD_S)) return [];
		const reports = this.parts.map((part) => part.report(this.#polledAt)).filter(Boolean);
		if (told && this.#offeredAt && reports[0]) {
			reports[0].setup_ms = this.connectedAt - this.#offeredAt;
			this.#offeredAt = null;
		}
		return reports;
	}

	close() {
		this.pc.onicecandidate = this.pc.onconnectionstatechange = this.pc.ontrack = null;
		this.pc.close();
	}

	#agreed() {
		this.answeredAt = now();
		const receives = ({ currentDirection }) => /recv/.test(currentDirection);
		if (!this.pc.getTransceivers().some(receives)) this.failure = 'no_codec';
	}

	#describe(type, offer_id) {
		const cameras = this.parts[0].name && this.parts.map(({ name }) => name);
		const id = this.send({ type, sdp: this.pc.localDescription.sdp, offer_id, cameras });
		this.#described = true;
		for (const message of this.#ownCandidates.splice(0)) this.send(message);
		return id;
	}

	#ownCandidate(candidate) {
		if (!candidate) {
			this.#gathered = true;
			this.#tellEnd();
		} else if (candidate.candidate) {
			const message = { type: 'ice_candidate', ...candidate.toJSON() };
			if (this.#described) this.send(message);
			else this.#ownCandidates.push(message);
		}
	}

	#tellEnd() {
		if (!this.#gathered || !this.connected) return;
		this.send({ type: 'ice_candidate', candidate: '', sdpMid: '0', sdpMLineIndex: 0 });
	}

	async #takeDescription(type, sdp) {
		await this.pc.setRemoteDescription({ type, sdp });
		this.#remoteSdp = sdp;
	}

	async #addCandidates() {
		for (const message of this.#remoteCandidates.splice(0)) {
			await this.pc.addIceCandidate(message.candidate ? message : undefined).catch(() => {});
		}
	}
}
