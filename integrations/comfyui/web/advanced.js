// Hide the advanced widgets of vidtrans' nodes on canvases that know of them but do not read them from the nodes'
// definition: frontends before 2026, and the classic canvas. Right-click a node, "Show Advanced", shows them.
import { app } from "../../scripts/app.js";

app.registerExtension({
  name: "vidtrans.advanced",
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("Vidtrans")) return;
    const groups = node.constructor.nodeData?.input ?? {};
    const inputs = { ...groups.required, ...groups.optional };
    for (const widget of node.widgets ?? []) {
      if (inputs[widget.name]?.[1]?.advanced) widget.advanced = true;
    }
    node.setSize?.(node.computeSize());
  },
});
