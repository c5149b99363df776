// Blocks of about 10 ms of sound, mixed to one channel: 16-bit samples, and their highest level. It runs in the
// browser's thread of sound.

class SoundBlocks extends AudioWorkletProcessor {
  constructor() {
    super();
    const quanta = Math.max(1, Math.round((0.01 * sampleRate) / 128));
    this.size = 128 * quanta;
    this.begin();
  }

  begin() {
    this.block = new Int16Array(this.size);
    this.count = 0;
    this.peak = 0;
  }

  process([channels]) {
    if (!channels.length) return true; // nothing is connected now
    for (let n = 0; n < channels[0].length; n += 1) {
      let level = 0;
      for (const channel of channels) level += channel[n] / channels.length;
      this.peak = Math.max(this.peak, Math.abs(level));
      this.block[this.count] = Math.max(-32768, Math.min(32767, Math.round(32768 * level)));
      this.count += 1;
      if (this.count === this.size) {
        this.port.postMessage({ block: this.block, peak: this.peak }, [this.block.buffer]);
        this.begin();
      }
    }
    return true;
  }
}

registerProcessor("sound-blocks", SoundBlocks);
