import { createApp } from "vue";
import App from "./App.vue";
import { loadSession } from "./api/session";
import { router } from "./router";
import "./styles/tokens.css";
import "./styles/base.css";

void loadSession();
createApp(App).use(router).mount("#app");
