// Put into the viewer's page before its own scripts: only one codec is offered, and of each picture
// that is presented it is noted which one it is, and when it was received and presented.
(() => {
  const CODECS = __CODECS__;
  const INDEX_BITS = 16;
  const original = RTCPeerConnection.prototype.addTransceiver;
  RTCPeerConnection.prototype.addTransceiver = function (...words) {
    const transceiver = original.apply(this, words);
    const { codecs } = RTCRtpReceiver.getCapabilities('video');
    transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => CODECS.includes(mimeType)));
    return transceiver;
  };

  const frames = [];
  window.benchmark = {
    take: () => frames.splice(0),
    now: () => performance.timeOrigin + performance.now(),
  };
  const canvas = new OffscreenCanvas(INDEX_BITS * 3, 1);
  const context = canvas.getContext('2d', { willReadFrequently: true });

  // The layout of rtc_signaling/media/scene.py.
  function readIndex(video) {
    const { videoWidth: width, videoHeight: height } = video;
    const side = Math.max(Math.min(width >> 3, height >> 2), 1);
    context.drawImage(
      video, side, side / 3, width - 2 * side, side / 3, 0, 0, canvas.width, canvas.height,
    );
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    let index = 0;
    for (let bit = 0; bit < INDEX_BITS; bit += 1) {
      const level = data[(bit * 3 + 1) * 4 + 1];
      if (level > 88 && level < 168) return null;
      index = index * 2 + (level >= 168);
    }
    return index;
  }

  function watch(video) {
    const onPicture = (_, { receiveTime, presentationTime, expectedDisplayTime }) => {
      video.requestVideoFrameCallback(onPicture);
      frames.push({
        index: readIndex(video),
        size: `${video.videoWidth}x${video.videoHeight}`,
        received_ms: performance.timeOrigin + receiveTime,
        presented_ms: performance.timeOrigin + presentationTime,
        displayed_ms: performance.timeOrigin + expectedDisplayTime,
      });
    };
    video.requestVideoFrameCallback(onPicture);
  }
  document.addEventListener('DOMContentLoaded', () => watch(document.getElementById('video')));
})();
