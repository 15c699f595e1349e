import { createApp } from "vue";
import App from "./App.vue";
import { loadSession } from "./api/session";
import { router } from "./router";
import { startLive } from "./state/live";
import "./styles/tokens.css";
import "./styles/base.css";

void loadSession();
startLive();
createApp(App).use(router).mount("#app");
