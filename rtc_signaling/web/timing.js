/**
 * How old the pictures are when they are on the screen, measured (docs/timing.md).
 *
 * `Offset` and `Ages` are pure; `Timing` joins them to a peer connection. All times in ms: those of
 * this device by performance.now(), those of the robot by its clock, since 1970.
 */

const ASK_MS = 1000;
const FIRST_ASKS = 8; // quickly, so that a figure is there soon
const FIRST_ASK_MS = 100;
const SAMPLES = 16;
const DRIFT = 15e-6; // how far clocks run apart at most, by RFC 5905
const STALE_MS = 30000;
const MAX_ERROR_MS = 250;
const WINDOW_MS = 3000;
const MAX_WAITING = 256;
const MAX_AGE_MS = 60000; // no picture is so old that comes by RTP
const RTP_MODULO = 2 ** 32;
const RTP_PER_MS = 90;

/** Find the offset between our clock and the robot's: NTP's filter (RFC 5905, 8 and 10). */
export class Offset {
  #samples = []; // {at, offset, error}

  /** Take an exchange: asked at t0 and heard at t3 by our clock, t1 and t2 are the robot's. */
  add(t0, t1, t2, t3) {
    const rtt = Math.max(t3 - t0 - (t2 - t1), 0);
    const sample = { at: t3, offset: (t1 - t0 + t2 - t3) / 2, error: rtt / 2 };
    // The truth is within the error of each: where two exclude each other, a clock was set.
    const agree = (other) => (
      Math.abs(other.offset - sample.offset) <= errorOf(other, t3) + sample.error
    );
    if (!this.#samples.every(agree)) this.#samples = [];
    this.#samples.push(sample);
    if (this.#samples.length > SAMPLES) this.#samples.shift();
  }

  /** Return {offset, error} of the exchange that is known best at a time, or null. */
  at(now) {
    const fresh = this.#samples.filter(({ at }) => now - at < STALE_MS);
    const known = fresh.map((sample) => ({ offset: sample.offset, error: errorOf(sample, now) }));
    return known.reduce((best, one) => (best && best.error <= one.error ? best : one), null);
  }
}

function errorOf({ at, error }, now) {
  return error + DRIFT * Math.abs(now - at);
}

/** Match pictures that were presented with the stamps that the robot tells of them. */
export class Ages {
  #waiting = []; // {rtp, at}: presented, stamp not known yet
  #ages = []; // {at, age_ms, error_ms}

  presented(rtp, at) {
    this.#waiting.push({ rtp, at });
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
  }

  /** Take the stamps of pictures, `[first, last, stamp_us]` each, by a clock {offset, error}. */
  stamped(runs, { offset, error }) {
    this.#waiting = this.#waiting.filter(({ rtp, at }) => {
      const run = runs.find(([first, last]) => rtpSince(first, rtp) <= rtpSince(first, last));
      if (!run) return true;
      const stamp = run[2] / 1000 + rtpSince(run[0], rtp) / RTP_PER_MS;
      this.#ages.push({ at, age_ms: at + offset - stamp, error_ms: error });
      return false;
    });
  }

  /**
   * Return {p50_ms, p95_ms, error_ms, count} of the pictures that were presented of late.
   *
   * Null where there are none; {differ: true} where an age is impossible: negative, or endless.
   */
  at(now) {
    const recent = ({ at }) => now - at < WINDOW_MS;
    this.#waiting = this.#waiting.filter(recent);
    this.#ages = this.#ages.filter(recent);
    if (!this.#ages.length) return null;
    const ordered = this.#ages.map(({ age_ms }) => age_ms).sort((a, b) => a - b);
    const quantile = (q) => ordered[Math.ceil(q * ordered.length) - 1];
    const error_ms = Math.max(...this.#ages.map((age) => age.error_ms));
    const [p50_ms, p95_ms] = [quantile(0.5), quantile(0.95)];
    // A millisecond more: some browsers round their clocks.
    if (p50_ms < -error_ms - 1 || p95_ms > MAX_AGE_MS) return { differ: true };
    const count = ordered.length;
    return { p50_ms: Math.max(p50_ms, 0), p95_ms: Math.max(p95_ms, 0), error_ms, count };
  }
}

function rtpSince(first, rtp) {
  return (((rtp - first) % RTP_MODULO) + RTP_MODULO) % RTP_MODULO;
}

/** Ask the robot for its time and its stamps, over a data channel of a peer connection. */
export class Timing {
  #channel;
  #timer;
  #asked = 0;
  #offset = new Offset();
  #ages = new Ages();
  #answered = false;
  #simulated = false;
  #canTell = true;

  /** Open the channel; before the offer, which has to name it. */
  open(pc) {
    // What is lost is out of date: nothing is sent again, and nothing waits for it.
    this.#channel = pc.createDataChannel('timing', { ordered: false, maxRetransmits: 0 });
    this.#channel.onopen = () => this.#ask();
    this.#channel.onmessage = ({ data }) => this.#heard(data, performance.now());
  }

  /** Take the metadata of requestVideoFrameCallback. */
  presented({ rtpTimestamp, expectedDisplayTime }) {
    this.#canTell = rtpTimestamp !== undefined;
    if (this.#canTell) this.#ages.presented(rtpTimestamp, expectedDisplayTime);
  }

  /**
   * Return {p50_ms, p95_ms, error_ms, count}, or {unknown} with the reason.
   *
   * Reasons: `browser`, which does not tell which picture it presents; `robot`, which does not
   * answer; `simulated`, its clock is; `clocks`, that of the stamps is none of the robot's, or was
   * set; `waiting`, for pictures or for a clock that is known well enough.
   */
  get latency() {
    const now = performance.now();
    const ages = this.#ages.at(now);
    if (!globalThis.HTMLVideoElement?.prototype.requestVideoFrameCallback || !this.#canTell) {
      return { unknown: 'browser' };
    }
    if (!this.#answered) return { unknown: 'robot' };
    if (this.#simulated) return { unknown: 'simulated' };
    if (ages?.differ) return { unknown: 'clocks' };
    return ages?.error_ms <= MAX_ERROR_MS ? ages : { unknown: 'waiting' };
  }

  close() {
    clearTimeout(this.#timer);
    if (this.#channel) this.#channel.onopen = this.#channel.onmessage = null;
  }

  #ask() {
    if (this.#channel.readyState !== 'open') return;
    this.#channel.send(JSON.stringify({ type: 'ping', t0: performance.now() }));
    this.#asked += 1;
    const wait_ms = this.#asked < FIRST_ASKS ? FIRST_ASK_MS : ASK_MS;
    this.#timer = setTimeout(() => this.#ask(), wait_ms);
  }

  #heard(data, now) {
    const { type, t0, t1_us, t2_us, runs, simulated } = JSON.parse(data);
    if (type !== 'pong') return; // the channel may come to say more
    this.#answered = true;
    this.#simulated = simulated === true;
    if (this.#simulated) return;
    this.#offset.add(t0, t1_us / 1000, t2_us / 1000, now);
    this.#ages.stamped(runs, this.#offset.at(now));
  }
}
