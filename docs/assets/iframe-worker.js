// A browser starts no worker for a page that was opened from a file, and the search runs in one.
// There it runs in a hidden frame of the page instead; on a server this file does nothing.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inside = (this.inside = frame.contentWindow);
      const answer = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      inside.postMessage = (data) => setTimeout(() => answer(data));
      const script = inside.document.createElement("script");
      script.src = url;
      this.started = new Promise((started) => (script.onload = started));
      inside.document.body.append(script);
    }
    postMessage(data) {
      this.started.then(() => this.inside.dispatchEvent(new this.inside.MessageEvent("message", { data })));
    }
    terminate() {
      this.inside.frameElement.remove();
    }
  };
}
