/** The peer connection to the robot: one offer, one answer, one camera's pictures. */

import { NO_STATS, makeReport, readStats } from './stats.js';
import { Timing } from './timing.js';

const now = () => performance.now();

/** Hold one peer connection that receives one camera, from its offer to its end. */
export class Media {
	offerId = newId(); // what our offer is called
	offerMsgId = null; // the msg_id that it was sent under
	queued = false; // whether our offer waits for a camera that is away
	answeredAt = null; // all times in ms of performance.now()
	failure = null; // what made it impossible: a cause of ViewerClient's state `failed`
	connectedAt = null;
	bytesAt = null; // when anything came last, RTCP included
	framesAt = null; // when a decoded picture was counted last
	stats = NO_STATS; // of the last poll
	details = null; // of the last report, and more for a person
	timing = new Timing();
	#polledAt = 0;
	#offeredAt = null;
	#reported; // {at, stats} of the last report
	#described = false;
	#gathered = false;
	#ownCandidates = [];
	#remoteCandidates = [];
	#remoteSdp = '';
	#remoteOfferId; // what the robot called its offer, if it made one

	constructor(sender, iceServers, send, onTrack, onChange) {
		this.sender = sender;
		this.startedAt = now();
		this.send = send;
		this.pc = new RTCPeerConnection({ iceServers });
		this.pc.onicecandidate = ({ candidate }) => this.#ownCandidate(candidate);
		this.pc.onconnectionstatechange = () => {
			if (this.pc.connectionState === 'connected' && !this.connected) {
				this.connectedAt = this.bytesAt = now();
				this.#reported = { at: now(), stats: NO_STATS };
				this.#tellEnd();
			}
			onChange();
		};
		this.pc.ontrack = ({ track, streams }) => {
			const give = () => onTrack(track, streams[0] ?? new MediaStream([track]));
			// Only once media comes, so that a page keeps its last picture until there is a newer one.
			if (track.muted) track.addEventListener('unmute', give, { once: true });
			else give();
		};
	}

	/** Return whether the connection can no longer come to life. */
	get over() {
		return this.failure !== null || ['failed', 'closed'].includes(this.pc.connectionState);
	}

	get connected() {
		return this.connectedAt !== null;
	}

	/** Return whether the camera is away and has our offer still to come. */
	get waits() {
		return this.queued && this.answeredAt === null;
	}

	/** Return the name of the offer that this media comes from. */
	get agreedId() {
		return this.#remoteSdp && !this.#offeredAt ? this.#remoteOfferId : this.offerId;
	}

	/** Return whether an offer is of this connection's other end, which wants to change it. */
	isOfSameEnd(sdp) {
		const known = fingerprint(this.#remoteSdp);
		return !this.over && known !== undefined && known === fingerprint(sdp);
	}

	/** Return whether what the robot says of an offer concerns this connection. */
	isFrom(offer_id) {
		return offer_id === undefined || [this.offerId, this.#remoteOfferId].includes(offer_id);
	}

	/**
	 * Return whether anything came in the last `limit_s` before the last poll.
	 *
	 * Before the poll, not before now: a page that was asleep has measured nothing meanwhile.
	 */
	flows(limit_s) {
		return this.connected && !this.over && this.#polledAt - this.bytesAt <= limit_s * 1000;
	}

	async offer() {
		this.pc.addTransceiver('video', { direction: 'recvonly' });
		this.timing.open(this.pc);
		await this.pc.setLocalDescription();
		this.#offeredAt = now();
		this.offerMsgId = this.#describe('offer', this.offerId);
	}

	/** Answer an offer of the robot's. */
	async answer({ sdp, offer_id }) {
		this.#described = false;
		this.#remoteOfferId = offer_id;
		await this.#takeDescription('offer', sdp);
		await this.pc.setLocalDescription();
		this.#agreed();
		this.#describe('answer', offer_id);
		await this.#addCandidates();
	}

	async takeAnswer({ sdp, offer_id }) {
		if (offer_id !== undefined && offer_id !== this.offerId) return; // to an older one
		if (this.pc.signalingState !== 'have-local-offer') return; // a second answer changes nothing
		await this.#takeDescription('answer', sdp);
		this.#agreed();
		await this.#addCandidates();
	}

	/** Take a candidate of the robot's; those before the description wait for it. */
	async takeCandidate(message) {
		this.#remoteCandidates.push(message);
		if (this.pc.remoteDescription) await this.#addCandidates();
	}

	/** Read the statistics, so that the ages of bytes and pictures are up to date. */
	async poll() {
		const before = this.stats;
		this.stats = readStats(await this.pc.getStats());
		this.#polledAt = now();
		if (this.stats.activity !== before.activity && this.connected) this.bytesAt = this.#polledAt;
		if (this.stats.frames !== before.frames) this.framesAt = this.#polledAt;
	}

	/** Return how the video was since the last report; the first one told has the set-up's time. */
	report(told) {
		const { at, stats } = this.#reported;
		const elapsed_s = (this.#polledAt - at) / 1000;
		const { latency, sent_fps } = this.timing;
		const report = makeReport(stats, this.stats, elapsed_s, latency.p50_ms);
		const { width, height, codec, received, dropped } = this.stats;
		this.details = {
			...report, width, height, codec, dropped, sent_fps, latency_p95_ms: latency.p95_ms,
			received_fps: (received - stats.received) / elapsed_s,
		};
		this.#reported = { at: this.#polledAt, stats: this.stats };
		// Once only: each is one more set-up in the server's figures.
		if (told && this.#offeredAt) {
			report.setup_ms = this.connectedAt - this.#offeredAt;
			this.#offeredAt = null;
		}
		return report;
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
		const id = this.send({ type, sdp: this.pc.localDescription.sdp, offer_id });
		this.#described = true;
		for (const message of this.#ownCandidates.splice(0)) this.send(message);
		return id;
	}

	#ownCandidate(candidate) {
		if (!candidate) {
			this.#gathered = true;
			this.#tellEnd();
		} else if (candidate.candidate) { // Firefox says the end twice: empty, then null
			const message = { type: 'ice_candidate', ...candidate.toJSON() };
			if (this.#described) this.send(message);
			else this.#ownCandidates.push(message);
		}
	}

	/** Tell the end of candidates; before our checks have come through, the robot would give up. */
	#tellEnd() {
		if (!this.#gathered || !this.connected) return;
		this.send({ type: 'ice_candidate', candidate: '', sdpMid: '0', sdpMLineIndex: 0 });
	}

	async #takeDescription(type, sdp) {
		await this.pc.setRemoteDescription({ type, sdp });
		this.#remoteSdp = sdp; // the browser's own copy has one fingerprint of several
	}

	async #addCandidates() {
		for (const message of this.#remoteCandidates.splice(0)) {
			const { candidate, sdpMid = null, sdpMLineIndex = null, usernameFragment } = message;
			const fields = { candidate, sdpMid, sdpMLineIndex, usernameFragment };
			// One that is of no use, of an agreement gone by above all, leaves the others.
			await this.pc.addIceCandidate(candidate ? fields : undefined).catch(() => {});
		}
	}
}

/** Return a name that no other offer has; there may be no crypto.randomUUID without TLS. */
function newId() {
	return crypto.getRandomValues(new Uint32Array(3)).join('-');
}

function fingerprint(sdp) {
	return /^a=fingerprint:.*$/im.exec(sdp)?.[0];
}
