/**
 * The peer connection to the robot: one offer, one answer, one camera's pictures.
 */

const now = () => performance.now();

/** Hold one peer connection that receives one camera, from its offer to its end. */
export class Media {
  answered = false;
  failure = null; // what made it impossible: a cause of ViewerClient's state `failed`
  connectedAt = null; // all times in ms of performance.now()
  bytesAt = null; // when anything came last, RTCP included
  framesAt = null; // when a decoded picture was counted last
  frames = 0;
  fps = 0;
  width = 0;
  height = 0;
  #polledAt = 0;
  #activity = 0;
  #offered = false;
  #ownCandidates = [];
  #remoteCandidates = [];

  constructor(sender, iceServers, send, onTrack, onChange) {
    this.sender = sender;
    this.startedAt = now();
    this.send = send;
    this.pc = new RTCPeerConnection({ iceServers });
    this.pc.onicecandidate = ({ candidate }) => this.#ownCandidate(candidate);
    this.pc.onconnectionstatechange = () => {
      if (this.pc.connectionState === 'connected' && this.connectedAt === null) {
        this.connectedAt = this.bytesAt = now();
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
    await this.pc.setLocalDescription();
    this.#describe('offer');
  }

  /** Answer an offer of the robot's. */
  async answer(sdp) {
    await this.pc.setRemoteDescription({ type: 'offer', sdp });
    await this.pc.setLocalDescription();
    this.answered = true;
    this.#describe('answer');
    await this.#addCandidates();
  }

  async takeAnswer(sdp) {
    if (this.pc.signalingState !== 'have-local-offer') return; // a second answer changes nothing
    this.answered = true;
    await this.pc.setRemoteDescription({ type: 'answer', sdp });
    const [transceiver] = this.pc.getTransceivers();
    if (!transceiver || /stopped|inactive/.test(transceiver.currentDirection)) {
      this.failure = 'no_codec';
    }
    await this.#addCandidates();
  }

  /** Take a candidate of the robot's; those before the description wait for it. */
  async takeCandidate(message) {
    this.#remoteCandidates.push(message);
    if (this.pc.remoteDescription) await this.#addCandidates();
  }

  /** Read the statistics, so that the ages of bytes and pictures are up to date. */
  async poll() {
    let activity = 0;
    let frames = 0;
    for (const entry of (await this.pc.getStats()).values()) {
      if (['transport', 'candidate-pair', 'inbound-rtp'].includes(entry.type)) {
        activity += entry.bytesReceived ?? 0;
      }
      if (entry.type === 'remote-outbound-rtp') activity += entry.reportsSent ?? 0;
      if (entry.type === 'inbound-rtp' && entry.kind === 'video') {
        frames += entry.framesDecoded ?? 0;
        this.fps = entry.framesPerSecond ?? 0;
        this.width = entry.frameWidth ?? 0;
        this.height = entry.frameHeight ?? 0;
      }
    }
    this.#polledAt = now();
    if (activity !== this.#activity && this.connected) this.bytesAt = this.#polledAt;
    if (frames !== this.frames) this.framesAt = this.#polledAt;
    this.#activity = activity;
    this.frames = frames;
  }

  close() {
    this.pc.onicecandidate = this.pc.onconnectionstatechange = this.pc.ontrack = null;
    this.pc.close();
  }

  #describe(type) {
    this.send({ type, sdp: this.pc.localDescription.sdp });
    this.#offered = true;
    for (const message of this.#ownCandidates.splice(0)) this.send(message);
  }

  #ownCandidate(candidate) {
    // Firefox says the end twice: by an empty candidate, then by null.
    if (candidate && !candidate.candidate) return;
    const fields = candidate?.toJSON() ?? { candidate: '', sdpMid: '0', sdpMLineIndex: 0 };
    const message = { type: 'ice_candidate', ...fields };
    if (this.#offered) this.send(message);
    else this.#ownCandidates.push(message);
  }

  async #addCandidates() {
    for (const message of this.#remoteCandidates.splice(0)) {
      const { candidate, sdpMid = null, sdpMLineIndex = null, usernameFragment } = message;
      if (!candidate) await this.pc.addIceCandidate();
      else await this.pc.addIceCandidate({ candidate, sdpMid, sdpMLineIndex, usernameFragment });
    }
  }
}
