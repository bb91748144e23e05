# A version of a flow: one group for each step. Written by nomadflows, which puts right what is changed by hand.
# Count 0 in all groups: the flow is parked (Nomad says "Scaled Down") and starts again when a message arrives.
job "live-orders.v12" {
  namespace   = "sales"
  type        = "service"
  datacenters = ["*"]
  priority    = 70

  ui {
    description = "Version 12 of the realtime flow sales/live-orders: hook, split, send, count, complain."

    link {
      label = "State of the flow"
      url   = "http://127.0.0.1:8500/ui/dc1/kv/nomadflows/flows/sales/live-orders/"
    }
  }

  meta {
    nomadflows = "1"
    workspace  = "sales"
    flow       = "live-orders"
    version    = "12"
    kind       = "realtime"
    digest     = "sha256:90c1"
  }

  # No deployments: a running one would refuse the change of counts that parks or wakes the flow.
  update {
    max_parallel = 0
  }

  # "trigger webhook@1.0.0:receive"
  group "hook" {
    count = 1

    restart {
      mode             = "delay"
      attempts         = 30
      interval         = "60s"
      delay            = "250ms"
      render_templates = true
    }

    reschedule {
      unlimited      = true
      delay          = "5s"
      delay_function = "exponential"
      max_delay      = "2m"
    }

    ephemeral_disk {
      size = 50
    }

    task "step" {
      driver = "raw_exec"

      config {
        command = "/opt/nomadflows/bin/python"
        args    = ["-m", "nomadflows.runtime"]
      }

      env {
        ELASTICIO_WORKSPACE_ID               = "sales"
        ELASTICIO_FLOW_ID                    = "live-orders"
        ELASTICIO_TASK_ID                    = "live-orders"
        ELASTICIO_FLOW_VERSION               = "12"
        ELASTICIO_EXEC_ID                    = "live-orders.v12"
        ELASTICIO_STEP_ID                    = "hook"
        ELASTICIO_CONTAINER_ID               = "${NOMAD_ALLOC_ID}"
        ELASTICIO_COMP_ID                    = "webhook"
        ELASTICIO_COMP_NAME                  = "webhook"
        ELASTICIO_FUNCTION                   = "receive"
        ELASTICIO_API_URI                    = "http://127.0.0.1:8646"
        ELASTICIO_OBJECT_STORAGE_URI         = "http://127.0.0.1:8646"
        ELASTICIO_API_USERNAME               = "sales.live-orders.v12"
        ELASTICIO_LISTEN_MESSAGES_ON         = "live-orders.v12.hook"
        ELASTICIO_PUBLISH_MESSAGES_TO        = "live-orders.v12"
        ELASTICIO_DATA_ROUTING_KEY           = "hook.data"
        ELASTICIO_ERROR_ROUTING_KEY          = "hook.error"
        ELASTICIO_REBOUND_ROUTING_KEY        = "live-orders.v12.hook.rebound"
        ELASTICIO_SNAPSHOT_ROUTING_KEY       = "hook.snapshot"
        ELASTICIO_RABBITMQ_PREFETCH_SAILOR   = "1"
        ELASTICIO_USER_ID                    = "nomadflows"
        ELASTICIO_PROTOCOL_VERSION           = "2"
        ELASTICIO_AMQP_PERSISTENT_MESSAGES   = "true"
        ELASTICIO_AMQP_RECONNECT_ATTEMPTS    = "1000000"
        ELASTICIO_AMQP_RECONNECT_TIMEOUT     = "1000"
        ELASTICIO_REBOUND_INITIAL_EXPIRATION = "16000"
        ELASTICIO_NO_SELF_PASSTRHOUGH        = "true"
        ELASTICIO_EMIT_LIGHTWEIGHT_MESSAGE   = "true"
        ELASTICIO_DATA_RATE_LIMIT            = "1000000"
        ELASTICIO_FLOW_WEBHOOK_URI           = "https://hooks.example/hook/sales/live-orders"
        WEBHOOK_URI                          = "https://hooks.example/hook/sales/live-orders"
        NOMADFLOWS_COMPONENT_DIR             = "/srv/components/webhook/1.0.0"
      }

      # This job's own role in Vault reads the secrets below and nothing else. Nomad's client logs in with the
      # identity; the process gets neither that nor a token.
      vault {
        role         = "nomadflows.sales.live-orders.v12"
        disable_file = true
        env          = false
        change_mode  = "noop"
      }

      identity {
        name = "vault_default"
        aud  = ["vault.io"]
        ttl  = "1h"
      }

      template {
        destination          = "secrets/step.env"
        env                  = true
        once                 = true
        change_mode          = "noop"
        perms                = "600"
        error_on_missing_key = true

        data = <<-EOT
          {{ with secret "nomadflows/data/sales/_versions/live-orders.v12" }}{{ with .Data.data }}
          ELASTICIO_AMQP_URI={{ .amqp_password | urlquery | printf "amqp://sales.live-orders.v12:%s@127.0.0.1:5672/nomadflows.sales?frameMax=131072&heartbeat=30" | toJSON }}
          ELASTICIO_API_KEY={{ .api_key | toJSON }}
          ELASTICIO_OBJECT_STORAGE_TOKEN={{ .api_key | hmacSHA256Hex "objects" | printf "sales.live-orders.v12.%s" | toJSON }}
          ELASTICIO_MESSAGE_CRYPTO_PASSWORD={{ .crypto_password | toJSON }}
          ELASTICIO_MESSAGE_CRYPTO_IV={{ .crypto_iv | toJSON }}
          {{ end }}{{ end }}
        EOT
      }

      resources {
        cpu    = 100
        memory = 256
      }

      logs {
        max_files     = 3
        max_file_size = 5
      }

      kill_signal    = "SIGTERM"
      kill_timeout   = "30s"
      shutdown_delay = "0s"
    }
  }

  # "action splitter@2.0.1:split"
  group "split" {
    count = 1

    restart {
      mode             = "delay"
      attempts         = 30
      interval         = "60s"
      delay            = "250ms"
      render_templates = true
    }

    reschedule {
      unlimited      = true
      delay          = "5s"
      delay_function = "exponential"
      max_delay      = "2m"
    }

    ephemeral_disk {
      size = 50
    }

    task "step" {
      driver = "raw_exec"

      config {
        command  = "node"
        args     = ["node_modules/elasticio-sailor-nodejs/run.js"]
        work_dir = "/srv/components/splitter/2.0.1"
      }

      env {
        ELASTICIO_WORKSPACE_ID               = "sales"
        ELASTICIO_FLOW_ID                    = "live-orders"
        ELASTICIO_TASK_ID                    = "live-orders"
        ELASTICIO_FLOW_VERSION               = "12"
        ELASTICIO_EXEC_ID                    = "live-orders.v12"
        ELASTICIO_STEP_ID                    = "split"
        ELASTICIO_CONTAINER_ID               = "${NOMAD_ALLOC_ID}"
        ELASTICIO_COMP_ID                    = "splitter"
        ELASTICIO_COMP_NAME                  = "splitter"
        ELASTICIO_FUNCTION                   = "split"
        ELASTICIO_API_URI                    = "http://127.0.0.1:8646"
        ELASTICIO_OBJECT_STORAGE_URI         = "http://127.0.0.1:8646"
        ELASTICIO_API_USERNAME               = "sales.live-orders.v12"
        ELASTICIO_LISTEN_MESSAGES_ON         = "live-orders.v12.split"
        ELASTICIO_PUBLISH_MESSAGES_TO        = "live-orders.v12"
        ELASTICIO_DATA_ROUTING_KEY           = "split.data"
        ELASTICIO_ERROR_ROUTING_KEY          = "split.error"
        ELASTICIO_REBOUND_ROUTING_KEY        = "live-orders.v12.split.rebound"
        ELASTICIO_SNAPSHOT_ROUTING_KEY       = "split.snapshot"
        ELASTICIO_RABBITMQ_PREFETCH_SAILOR   = "1"
        ELASTICIO_USER_ID                    = "nomadflows"
        ELASTICIO_PROTOCOL_VERSION           = "2"
        ELASTICIO_AMQP_PERSISTENT_MESSAGES   = "true"
        ELASTICIO_AMQP_RECONNECT_ATTEMPTS    = "1000000"
        ELASTICIO_AMQP_RECONNECT_TIMEOUT     = "1000"
        ELASTICIO_REBOUND_INITIAL_EXPIRATION = "16000"
        ELASTICIO_NO_SELF_PASSTRHOUGH        = "true"
        ELASTICIO_EMIT_LIGHTWEIGHT_MESSAGE   = "true"
        ELASTICIO_DATA_RATE_LIMIT            = "1000000"
        ELASTICIO_FLOW_WEBHOOK_URI           = "https://hooks.example/hook/sales/live-orders"
        REQUEST_MAX_RETRY                    = "4"
        REQUEST_TIMEOUT                      = "20000"
        WEBHOOK_URI                          = "https://hooks.example/hook/sales/live-orders"
        NOMADFLOWS_COMPONENT_DIR             = "/srv/components/splitter/2.0.1"
      }

      # This job's own role in Vault reads the secrets below and nothing else. Nomad's client logs in with the
      # identity; the process gets neither that nor a token.
      vault {
        role         = "nomadflows.sales.live-orders.v12"
        disable_file = true
        env          = false
        change_mode  = "noop"
      }

      identity {
        name = "vault_default"
        aud  = ["vault.io"]
        ttl  = "1h"
      }

      template {
        destination          = "secrets/step.env"
        env                  = true
        once                 = true
        change_mode          = "noop"
        perms                = "600"
        error_on_missing_key = true

        data = <<-EOT
          {{ with secret "nomadflows/data/sales/_versions/live-orders.v12" }}{{ with .Data.data }}
          ELASTICIO_AMQP_URI={{ .amqp_password | urlquery | printf "amqp://sales.live-orders.v12:%s@127.0.0.1:5672/nomadflows.sales?frameMax=131072&heartbeat=30" | toJSON }}
          ELASTICIO_API_KEY={{ .api_key | toJSON }}
          ELASTICIO_OBJECT_STORAGE_TOKEN={{ .api_key | hmacSHA256Hex "objects" | printf "sales.live-orders.v12.%s" | toJSON }}
          ELASTICIO_MESSAGE_CRYPTO_PASSWORD={{ .crypto_password | toJSON }}
          ELASTICIO_MESSAGE_CRYPTO_IV={{ .crypto_iv | toJSON }}
          {{ end }}{{ end }}
        EOT
      }

      template {
        destination          = "secrets/variables.env"
        env                  = true
        once                 = true
        change_mode          = "noop"
        perms                = "600"
        error_on_missing_key = true

        data = <<-EOT
          {{ with secret "nomadflows/data/sales/shop-api" }}{{ with .Data.data }}
          SHOP_KEY={{ .client_id | toJSON }}
          SHOP_SECRET={{ .client_secret | toJSON }}
          {{ end }}{{ end }}
        EOT
      }

      resources {
        cpu    = 100
        memory = 256
      }

      logs {
        max_files     = 3
        max_file_size = 5
      }

      kill_signal    = "SIGTERM"
      kill_timeout   = "30s"
      shutdown_delay = "0s"
    }
  }

  # "action edi@0.3.0:send"
  group "send" {
    count = 3

    restart {
      mode             = "delay"
      attempts         = 30
      interval         = "60s"
      delay            = "250ms"
      render_templates = true
    }

    reschedule {
      unlimited      = true
      delay          = "5s"
      delay_function = "exponential"
      max_delay      = "2m"
    }

    ephemeral_disk {
      size = 50
    }

    task "step" {
      driver = "docker"

      # Not the image's user: what runs in the container is nobody on the node.
      user = "10001:10001"

      config {
        image      = "registry.example/edi@sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"
        entrypoint = ["node", "node_modules/elasticio-sailor-nodejs/run.js"]
        work_dir   = "/home/node/app"

        network_mode    = "host"
        init            = true
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges=true"]
        pids_limit      = 512

        # The one place to write besides Nomad's own folders; it counts as memory.
        mount {
          type   = "tmpfs"
          target = "/tmp"

          tmpfs_options {
            size = 67108864
          }
        }

        auth {
          username = "${NOMADFLOWS_REGISTRY_USERNAME}"
          password = "${NOMADFLOWS_REGISTRY_PASSWORD}"
        }
      }

      env {
        ELASTICIO_WORKSPACE_ID               = "sales"
        ELASTICIO_FLOW_ID                    = "live-orders"
        ELASTICIO_TASK_ID                    = "live-orders"
        ELASTICIO_FLOW_VERSION               = "12"
        ELASTICIO_EXEC_ID                    = "live-orders.v12"
        ELASTICIO_STEP_ID                    = "send"
        ELASTICIO_CONTAINER_ID               = "${NOMAD_ALLOC_ID}"
        ELASTICIO_COMP_ID                    = "edi"
        ELASTICIO_COMP_NAME                  = "edi"
        ELASTICIO_FUNCTION                   = "send"
        ELASTICIO_API_URI                    = "http://127.0.0.1:8646"
        ELASTICIO_OBJECT_STORAGE_URI         = "http://127.0.0.1:8646"
        ELASTICIO_API_USERNAME               = "sales.live-orders.v12"
        ELASTICIO_LISTEN_MESSAGES_ON         = "live-orders.v12.send"
        ELASTICIO_PUBLISH_MESSAGES_TO        = "live-orders.v12"
        ELASTICIO_DATA_ROUTING_KEY           = "send.data"
        ELASTICIO_ERROR_ROUTING_KEY          = "send.error"
        ELASTICIO_REBOUND_ROUTING_KEY        = "live-orders.v12.send.rebound"
        ELASTICIO_SNAPSHOT_ROUTING_KEY       = "send.snapshot"
        ELASTICIO_RABBITMQ_PREFETCH_SAILOR   = "1"
        ELASTICIO_USER_ID                    = "nomadflows"
        ELASTICIO_PROTOCOL_VERSION           = "2"
        ELASTICIO_AMQP_PERSISTENT_MESSAGES   = "true"
        ELASTICIO_AMQP_RECONNECT_ATTEMPTS    = "1000000"
        ELASTICIO_AMQP_RECONNECT_TIMEOUT     = "1000"
        ELASTICIO_REBOUND_INITIAL_EXPIRATION = "16000"
        ELASTICIO_NO_SELF_PASSTRHOUGH        = "true"
        ELASTICIO_EMIT_LIGHTWEIGHT_MESSAGE   = "true"
        ELASTICIO_DATA_RATE_LIMIT            = "1000000"
        ELASTICIO_FLOW_WEBHOOK_URI           = "https://hooks.example/hook/sales/live-orders"
        REQUEST_MAX_RETRY                    = "4"
        REQUEST_TIMEOUT                      = "20000"
        WEBHOOK_URI                          = "https://hooks.example/hook/sales/live-orders"
        NOMADFLOWS_COMPONENT_DIR             = "/home/node/app"
      }

      # This job's own role in Vault reads the secrets below and nothing else. Nomad's client logs in with the
      # identity; the process gets neither that nor a token.
      vault {
        role         = "nomadflows.sales.live-orders.v12"
        disable_file = true
        env          = false
        change_mode  = "noop"
      }

      identity {
        name = "vault_default"
        aud  = ["vault.io"]
        ttl  = "1h"
      }

      template {
        destination          = "secrets/step.env"
        env                  = true
        once                 = true
        change_mode          = "noop"
        perms                = "600"
        error_on_missing_key = true

        data = <<-EOT
          {{ with secret "nomadflows/data/sales/_versions/live-orders.v12" }}{{ with .Data.data }}
          ELASTICIO_AMQP_URI={{ .amqp_password | urlquery | printf "amqp://sales.live-orders.v12:%s@127.0.0.1:5672/nomadflows.sales?frameMax=131072&heartbeat=30" | toJSON }}
          ELASTICIO_API_KEY={{ .api_key | toJSON }}
          ELASTICIO_OBJECT_STORAGE_TOKEN={{ .api_key | hmacSHA256Hex "objects" | printf "sales.live-orders.v12.%s" | toJSON }}
          ELASTICIO_MESSAGE_CRYPTO_PASSWORD={{ .crypto_password | toJSON }}
          ELASTICIO_MESSAGE_CRYPTO_IV={{ .crypto_iv | toJSON }}
          {{ end }}{{ end }}
        EOT
      }

      template {
        destination          = "secrets/registry.env"
        env                  = true
        once                 = true
        change_mode          = "noop"
        perms                = "600"
        error_on_missing_key = true

        data = <<-EOT
          {{ with secret "nomadflows/data/sales/example-registry" }}{{ with .Data.data }}
          NOMADFLOWS_REGISTRY_USERNAME={{ .username | toJSON }}
          NOMADFLOWS_REGISTRY_PASSWORD={{ .password | toJSON }}
          {{ end }}{{ end }}
        EOT
      }

      resources {
        cpu    = 100
        memory = 256
      }

      logs {
        max_files     = 3
        max_file_size = 5
      }

      kill_signal    = "SIGTERM"
      kill_timeout   = "30s"
      shutdown_delay = "0s"
    }
  }

  # "action tally@1.4.0:count"
  group "count" {
    count = 1

    restart {
      mode             = "delay"
      attempts         = 30
      interval         = "60s"
      delay            = "250ms"
      render_templates = true
    }

    reschedule {
      unlimited      = true
      delay          = "5s"
      delay_function = "exponential"
      max_delay      = "2m"
    }

    ephemeral_disk {
      size = 50
    }

    task "step" {
      driver = "docker"

      # Not the image's user: what runs in the container is nobody on the node.
      user = "10001:10001"

      config {
        image      = "sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
        entrypoint = ["python3", "-m", "nomadflows.runtime"]
        work_dir   = "/component"

        network_mode    = "host"
        init            = true
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges=true"]
        pids_limit      = 512

        # The one place to write besides Nomad's own folders; it counts as memory.
        mount {
          type   = "tmpfs"
          target = "/tmp"

          tmpfs_options {
            size = 67108864
          }
        }
      }

      env {
        ELASTICIO_WORKSPACE_ID               = "sales"
        ELASTICIO_FLOW_ID                    = "live-orders"
        ELASTICIO_TASK_ID                    = "live-orders"
        ELASTICIO_FLOW_VERSION               = "12"
        ELASTICIO_EXEC_ID                    = "live-orders.v12"
        ELASTICIO_STEP_ID                    = "count"
        ELASTICIO_CONTAINER_ID               = "${NOMAD_ALLOC_ID}"
        ELASTICIO_COMP_ID                    = "tally"
        ELASTICIO_COMP_NAME                  = "tally"
        ELASTICIO_FUNCTION                   = "count"
        ELASTICIO_API_URI                    = "http://127.0.0.1:8646"
        ELASTICIO_OBJECT_STORAGE_URI         = "http://127.0.0.1:8646"
        ELASTICIO_API_USERNAME               = "sales.live-orders.v12"
        ELASTICIO_LISTEN_MESSAGES_ON         = "live-orders.v12.count"
        ELASTICIO_PUBLISH_MESSAGES_TO        = "live-orders.v12"
        ELASTICIO_DATA_ROUTING_KEY           = "count.data"
        ELASTICIO_ERROR_ROUTING_KEY          = "count.error"
        ELASTICIO_REBOUND_ROUTING_KEY        = "live-orders.v12.count.rebound"
        ELASTICIO_SNAPSHOT_ROUTING_KEY       = "count.snapshot"
        ELASTICIO_RABBITMQ_PREFETCH_SAILOR   = "1"
        ELASTICIO_USER_ID                    = "nomadflows"
        ELASTICIO_PROTOCOL_VERSION           = "2"
        ELASTICIO_AMQP_PERSISTENT_MESSAGES   = "true"
        ELASTICIO_AMQP_RECONNECT_ATTEMPTS    = "1000000"
        ELASTICIO_AMQP_RECONNECT_TIMEOUT     = "1000"
        ELASTICIO_REBOUND_INITIAL_EXPIRATION = "16000"
        ELASTICIO_NO_SELF_PASSTRHOUGH        = "true"
        ELASTICIO_EMIT_LIGHTWEIGHT_MESSAGE   = "true"
        ELASTICIO_DATA_RATE_LIMIT            = "1000000"
        ELASTICIO_FLOW_WEBHOOK_URI           = "https://hooks.example/hook/sales/live-orders"
        WEBHOOK_URI                          = "https://hooks.example/hook/sales/live-orders"
        NOMADFLOWS_COMPONENT_DIR             = "/component"
        NOMADFLOWS_CREDENTIAL_FILE           = "${NOMAD_SECRETS_DIR}/credential.json"
      }

      # This job's own role in Vault reads the secrets below and nothing else. Nomad's client logs in with the
      # identity; the process gets neither that nor a token.
      vault {
        role         = "nomadflows.sales.live-orders.v12"
        disable_file = true
        env          = false
        change_mode  = "noop"
      }

      identity {
        name = "vault_default"
        aud  = ["vault.io"]
        ttl  = "1h"
      }

      template {
        destination          = "secrets/step.env"
        env                  = true
        once                 = true
        change_mode          = "noop"
        perms                = "600"
        error_on_missing_key = true

        data = <<-EOT
          {{ with secret "nomadflows/data/sales/_versions/live-orders.v12" }}{{ with .Data.data }}
          ELASTICIO_AMQP_URI={{ .amqp_password | urlquery | printf "amqp://sales.live-orders.v12:%s@127.0.0.1:5672/nomadflows.sales?frameMax=131072&heartbeat=30" | toJSON }}
          ELASTICIO_API_KEY={{ .api_key | toJSON }}
          ELASTICIO_OBJECT_STORAGE_TOKEN={{ .api_key | hmacSHA256Hex "objects" | printf "sales.live-orders.v12.%s" | toJSON }}
          ELASTICIO_MESSAGE_CRYPTO_PASSWORD={{ .crypto_password | toJSON }}
          ELASTICIO_MESSAGE_CRYPTO_IV={{ .crypto_iv | toJSON }}
          {{ end }}{{ end }}
        EOT
      }

      template {
        destination = "secrets/credential.json"
        once        = true
        change_mode = "noop"
        perms       = "600"
        uid         = 10001
        gid         = 10001

        data = <<-EOT
          {{ with secret "nomadflows/data/sales/tally-db" }}{{ .Data.data | toJSON }}{{ end }}
        EOT
      }

      resources {
        cpu    = 100
        memory = 256
      }

      logs {
        max_files     = 3
        max_file_size = 5
      }

      kill_signal    = "SIGTERM"
      kill_timeout   = "30s"
      shutdown_delay = "0s"
    }
  }

  # "action log@1.0.0:write"
  group "complain" {
    count = 1

    restart {
      mode             = "delay"
      attempts         = 30
      interval         = "60s"
      delay            = "250ms"
      render_templates = true
    }

    reschedule {
      unlimited      = true
      delay          = "5s"
      delay_function = "exponential"
      max_delay      = "2m"
    }

    ephemeral_disk {
      size = 50
    }

    task "step" {
      driver = "raw_exec"

      config {
        command = "/opt/nomadflows/bin/python"
        args    = ["-m", "nomadflows.runtime"]
      }

      env {
        ELASTICIO_WORKSPACE_ID               = "sales"
        ELASTICIO_FLOW_ID                    = "live-orders"
        ELASTICIO_TASK_ID                    = "live-orders"
        ELASTICIO_FLOW_VERSION               = "12"
        ELASTICIO_EXEC_ID                    = "live-orders.v12"
        ELASTICIO_STEP_ID                    = "complain"
        ELASTICIO_CONTAINER_ID               = "${NOMAD_ALLOC_ID}"
        ELASTICIO_COMP_ID                    = "log"
        ELASTICIO_COMP_NAME                  = "log"
        ELASTICIO_FUNCTION                   = "write"
        ELASTICIO_API_URI                    = "http://127.0.0.1:8646"
        ELASTICIO_OBJECT_STORAGE_URI         = "http://127.0.0.1:8646"
        ELASTICIO_API_USERNAME               = "sales.live-orders.v12"
        ELASTICIO_LISTEN_MESSAGES_ON         = "live-orders.v12.complain"
        ELASTICIO_PUBLISH_MESSAGES_TO        = "live-orders.v12"
        ELASTICIO_DATA_ROUTING_KEY           = "complain.data"
        ELASTICIO_ERROR_ROUTING_KEY          = "complain.error"
        ELASTICIO_REBOUND_ROUTING_KEY        = "live-orders.v12.complain.rebound"
        ELASTICIO_SNAPSHOT_ROUTING_KEY       = "complain.snapshot"
        ELASTICIO_RABBITMQ_PREFETCH_SAILOR   = "1"
        ELASTICIO_USER_ID                    = "nomadflows"
        ELASTICIO_PROTOCOL_VERSION           = "2"
        ELASTICIO_AMQP_PERSISTENT_MESSAGES   = "true"
        ELASTICIO_AMQP_RECONNECT_ATTEMPTS    = "1000000"
        ELASTICIO_AMQP_RECONNECT_TIMEOUT     = "1000"
        ELASTICIO_REBOUND_INITIAL_EXPIRATION = "16000"
        ELASTICIO_NO_SELF_PASSTRHOUGH        = "true"
        ELASTICIO_EMIT_LIGHTWEIGHT_MESSAGE   = "true"
        ELASTICIO_DATA_RATE_LIMIT            = "1000000"
        ELASTICIO_INPUT_FORMAT               = "error"
        ELASTICIO_FLOW_WEBHOOK_URI           = "https://hooks.example/hook/sales/live-orders"
        WEBHOOK_URI                          = "https://hooks.example/hook/sales/live-orders"
        NOMADFLOWS_COMPONENT_DIR             = "/srv/components/log/1.0.0"
      }

      # This job's own role in Vault reads the secrets below and nothing else. Nomad's client logs in with the
      # identity; the process gets neither that nor a token.
      vault {
        role         = "nomadflows.sales.live-orders.v12"
        disable_file = true
        env          = false
        change_mode  = "noop"
      }

      identity {
        name = "vault_default"
        aud  = ["vault.io"]
        ttl  = "1h"
      }

      template {
        destination          = "secrets/step.env"
        env                  = true
        once                 = true
        change_mode          = "noop"
        perms                = "600"
        error_on_missing_key = true

        data = <<-EOT
          {{ with secret "nomadflows/data/sales/_versions/live-orders.v12" }}{{ with .Data.data }}
          ELASTICIO_AMQP_URI={{ .amqp_password | urlquery | printf "amqp://sales.live-orders.v12:%s@127.0.0.1:5672/nomadflows.sales?frameMax=131072&heartbeat=30" | toJSON }}
          ELASTICIO_API_KEY={{ .api_key | toJSON }}
          ELASTICIO_OBJECT_STORAGE_TOKEN={{ .api_key | hmacSHA256Hex "objects" | printf "sales.live-orders.v12.%s" | toJSON }}
          ELASTICIO_MESSAGE_CRYPTO_PASSWORD={{ .crypto_password | toJSON }}
          ELASTICIO_MESSAGE_CRYPTO_IV={{ .crypto_iv | toJSON }}
          {{ end }}{{ end }}
        EOT
      }

      resources {
        cpu    = 100
        memory = 256
      }

      logs {
        max_files     = 3
        max_file_size = 5
      }

      kill_signal    = "SIGTERM"
      kill_timeout   = "30s"
      shutdown_delay = "0s"
    }
  }
}
