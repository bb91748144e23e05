# A version of a flow: one group for each step. Written by nomadflows, which puts right what is changed by hand.
# Count 0 in all groups: the flow is parked (Nomad says "Scaled Down") and starts again when a message arrives.
job "orders-to-warehouse.v3" {
  namespace   = "default"
  type        = "service"
  datacenters = ["*"]
  priority    = 50

  ui {
    description = "Orders of the \"main\" shop, $${not} replaced: 100 %%{sure}\nSecond line.\n\nVersion 3 of the ordinary flow default/orders-to-warehouse: orders, enrich, store."

    link {
      label = "State of the flow"
      url   = "http://127.0.0.1:8500/ui/dc1/kv/nomadflows/flows/default/orders-to-warehouse/"
    }
  }

  meta {
    nomadflows = "1"
    workspace  = "default"
    flow       = "orders-to-warehouse"
    version    = "3"
    kind       = "ordinary"
    digest     = "sha256:3f7a"
  }

  # No deployments: a running one would refuse the change of counts that parks or wakes the flow.
  update {
    max_parallel = 0
  }

  # "trigger files@1.0.0:watch"
  group "orders" {
    count = 0

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
        ELASTICIO_WORKSPACE_ID               = "default"
        ELASTICIO_FLOW_ID                    = "orders-to-warehouse"
        ELASTICIO_TASK_ID                    = "orders-to-warehouse"
        ELASTICIO_FLOW_VERSION               = "3"
        ELASTICIO_EXEC_ID                    = "orders-to-warehouse.v3"
        ELASTICIO_STEP_ID                    = "orders"
        ELASTICIO_CONTAINER_ID               = "${NOMAD_ALLOC_ID}"
        ELASTICIO_COMP_ID                    = "files"
        ELASTICIO_COMP_NAME                  = "files"
        ELASTICIO_FUNCTION                   = "watch"
        ELASTICIO_API_URI                    = "http://127.0.0.1:8646"
        ELASTICIO_OBJECT_STORAGE_URI         = "http://127.0.0.1:8646"
        ELASTICIO_API_USERNAME               = "default.orders-to-warehouse.v3"
        ELASTICIO_LISTEN_MESSAGES_ON         = "orders-to-warehouse.v3.orders"
        ELASTICIO_PUBLISH_MESSAGES_TO        = "orders-to-warehouse.v3"
        ELASTICIO_DATA_ROUTING_KEY           = "orders.data"
        ELASTICIO_ERROR_ROUTING_KEY          = "orders.error"
        ELASTICIO_REBOUND_ROUTING_KEY        = "orders-to-warehouse.v3.orders.rebound"
        ELASTICIO_SNAPSHOT_ROUTING_KEY       = "orders.snapshot"
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
        ELASTICIO_FLOW_WEBHOOK_URI           = "https://hooks.example/hook/default/orders-to-warehouse"
        WEBHOOK_URI                          = "https://hooks.example/hook/default/orders-to-warehouse"
        NOMADFLOWS_COMPONENT_DIR             = "/srv/components/files/1.0.0"
      }

      # This job's own role in Vault reads the secrets below and nothing else. Nomad's client logs in with the
      # identity; the process gets neither that nor a token.
      vault {
        role         = "nomadflows.default.orders-to-warehouse.v3"
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
          {{ with secret "nomadflows/data/default/_versions/orders-to-warehouse.v3" }}{{ with .Data.data }}
          ELASTICIO_AMQP_URI={{ .amqp_password | urlquery | printf "amqp://default.orders-to-warehouse.v3:%s@127.0.0.1:5672/nomadflows.default?frameMax=131072&heartbeat=30" | toJSON }}
          ELASTICIO_API_KEY={{ .api_key | toJSON }}
          ELASTICIO_OBJECT_STORAGE_TOKEN={{ .api_key | hmacSHA256Hex "objects" | printf "default.orders-to-warehouse.v3.%s" | toJSON }}
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

  # "mapper mapper@1.0.0:map"
  group "mapper:orders:enrich" {
    count = 0

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
        ELASTICIO_WORKSPACE_ID               = "default"
        ELASTICIO_FLOW_ID                    = "orders-to-warehouse"
        ELASTICIO_TASK_ID                    = "orders-to-warehouse"
        ELASTICIO_FLOW_VERSION               = "3"
        ELASTICIO_EXEC_ID                    = "orders-to-warehouse.v3"
        ELASTICIO_STEP_ID                    = "mapper:orders:enrich"
        ELASTICIO_CONTAINER_ID               = "${NOMAD_ALLOC_ID}"
        ELASTICIO_COMP_ID                    = "mapper"
        ELASTICIO_COMP_NAME                  = "mapper"
        ELASTICIO_FUNCTION                   = "map"
        ELASTICIO_API_URI                    = "http://127.0.0.1:8646"
        ELASTICIO_OBJECT_STORAGE_URI         = "http://127.0.0.1:8646"
        ELASTICIO_API_USERNAME               = "default.orders-to-warehouse.v3"
        ELASTICIO_LISTEN_MESSAGES_ON         = "orders-to-warehouse.v3.mapper:orders:enrich"
        ELASTICIO_PUBLISH_MESSAGES_TO        = "orders-to-warehouse.v3"
        ELASTICIO_DATA_ROUTING_KEY           = "mapper:orders:enrich.data"
        ELASTICIO_ERROR_ROUTING_KEY          = "mapper:orders:enrich.error"
        ELASTICIO_REBOUND_ROUTING_KEY        = "orders-to-warehouse.v3.mapper:orders:enrich.rebound"
        ELASTICIO_SNAPSHOT_ROUTING_KEY       = "mapper:orders:enrich.snapshot"
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
        NOMADFLOWS_COMPONENT_DIR             = "/srv/components/mapper/1.0.0"
      }

      # This job's own role in Vault reads the secrets below and nothing else. Nomad's client logs in with the
      # identity; the process gets neither that nor a token.
      vault {
        role         = "nomadflows.default.orders-to-warehouse.v3"
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
          {{ with secret "nomadflows/data/default/_versions/orders-to-warehouse.v3" }}{{ with .Data.data }}
          ELASTICIO_AMQP_URI={{ .amqp_password | urlquery | printf "amqp://default.orders-to-warehouse.v3:%s@127.0.0.1:5672/nomadflows.default?frameMax=131072&heartbeat=30" | toJSON }}
          ELASTICIO_API_KEY={{ .api_key | toJSON }}
          ELASTICIO_OBJECT_STORAGE_TOKEN={{ .api_key | hmacSHA256Hex "objects" | printf "default.orders-to-warehouse.v3.%s" | toJSON }}
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

  # "action jsonata@1.2.0:transform"
  group "enrich" {
    count = 0

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
        ELASTICIO_WORKSPACE_ID               = "default"
        ELASTICIO_FLOW_ID                    = "orders-to-warehouse"
        ELASTICIO_TASK_ID                    = "orders-to-warehouse"
        ELASTICIO_FLOW_VERSION               = "3"
        ELASTICIO_EXEC_ID                    = "orders-to-warehouse.v3"
        ELASTICIO_STEP_ID                    = "enrich"
        ELASTICIO_CONTAINER_ID               = "${NOMAD_ALLOC_ID}"
        ELASTICIO_COMP_ID                    = "jsonata"
        ELASTICIO_COMP_NAME                  = "jsonata"
        ELASTICIO_FUNCTION                   = "transform"
        ELASTICIO_API_URI                    = "http://127.0.0.1:8646"
        ELASTICIO_OBJECT_STORAGE_URI         = "http://127.0.0.1:8646"
        ELASTICIO_API_USERNAME               = "default.orders-to-warehouse.v3"
        ELASTICIO_LISTEN_MESSAGES_ON         = "orders-to-warehouse.v3.enrich"
        ELASTICIO_PUBLISH_MESSAGES_TO        = "orders-to-warehouse.v3"
        ELASTICIO_DATA_ROUTING_KEY           = "enrich.data"
        ELASTICIO_ERROR_ROUTING_KEY          = "enrich.error"
        ELASTICIO_REBOUND_ROUTING_KEY        = "orders-to-warehouse.v3.enrich.rebound"
        ELASTICIO_SNAPSHOT_ROUTING_KEY       = "enrich.snapshot"
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
        ELASTICIO_FLOW_WEBHOOK_URI           = "https://hooks.example/hook/default/orders-to-warehouse"
        WEBHOOK_URI                          = "https://hooks.example/hook/default/orders-to-warehouse"
        NOMADFLOWS_COMPONENT_DIR             = "/srv/components/jsonata/1.2.0"
      }

      # This job's own role in Vault reads the secrets below and nothing else. Nomad's client logs in with the
      # identity; the process gets neither that nor a token.
      vault {
        role         = "nomadflows.default.orders-to-warehouse.v3"
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
          {{ with secret "nomadflows/data/default/_versions/orders-to-warehouse.v3" }}{{ with .Data.data }}
          ELASTICIO_AMQP_URI={{ .amqp_password | urlquery | printf "amqp://default.orders-to-warehouse.v3:%s@127.0.0.1:5672/nomadflows.default?frameMax=131072&heartbeat=30" | toJSON }}
          ELASTICIO_API_KEY={{ .api_key | toJSON }}
          ELASTICIO_OBJECT_STORAGE_TOKEN={{ .api_key | hmacSHA256Hex "objects" | printf "default.orders-to-warehouse.v3.%s" | toJSON }}
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

  # "mapper mapper@1.0.0:map"
  group "mapper:enrich:store" {
    count = 0

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
        ELASTICIO_WORKSPACE_ID               = "default"
        ELASTICIO_FLOW_ID                    = "orders-to-warehouse"
        ELASTICIO_TASK_ID                    = "orders-to-warehouse"
        ELASTICIO_FLOW_VERSION               = "3"
        ELASTICIO_EXEC_ID                    = "orders-to-warehouse.v3"
        ELASTICIO_STEP_ID                    = "mapper:enrich:store"
        ELASTICIO_CONTAINER_ID               = "${NOMAD_ALLOC_ID}"
        ELASTICIO_COMP_ID                    = "mapper"
        ELASTICIO_COMP_NAME                  = "mapper"
        ELASTICIO_FUNCTION                   = "map"
        ELASTICIO_API_URI                    = "http://127.0.0.1:8646"
        ELASTICIO_OBJECT_STORAGE_URI         = "http://127.0.0.1:8646"
        ELASTICIO_API_USERNAME               = "default.orders-to-warehouse.v3"
        ELASTICIO_LISTEN_MESSAGES_ON         = "orders-to-warehouse.v3.mapper:enrich:store"
        ELASTICIO_PUBLISH_MESSAGES_TO        = "orders-to-warehouse.v3"
        ELASTICIO_DATA_ROUTING_KEY           = "mapper:enrich:store.data"
        ELASTICIO_ERROR_ROUTING_KEY          = "mapper:enrich:store.error"
        ELASTICIO_REBOUND_ROUTING_KEY        = "orders-to-warehouse.v3.mapper:enrich:store.rebound"
        ELASTICIO_SNAPSHOT_ROUTING_KEY       = "mapper:enrich:store.snapshot"
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
        NOMADFLOWS_COMPONENT_DIR             = "/srv/components/mapper/1.0.0"
      }

      # This job's own role in Vault reads the secrets below and nothing else. Nomad's client logs in with the
      # identity; the process gets neither that nor a token.
      vault {
        role         = "nomadflows.default.orders-to-warehouse.v3"
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
          {{ with secret "nomadflows/data/default/_versions/orders-to-warehouse.v3" }}{{ with .Data.data }}
          ELASTICIO_AMQP_URI={{ .amqp_password | urlquery | printf "amqp://default.orders-to-warehouse.v3:%s@127.0.0.1:5672/nomadflows.default?frameMax=131072&heartbeat=30" | toJSON }}
          ELASTICIO_API_KEY={{ .api_key | toJSON }}
          ELASTICIO_OBJECT_STORAGE_TOKEN={{ .api_key | hmacSHA256Hex "objects" | printf "default.orders-to-warehouse.v3.%s" | toJSON }}
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

  # "action sql@1.0.0:upsert"
  group "store" {
    count = 0

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
        ELASTICIO_WORKSPACE_ID               = "default"
        ELASTICIO_FLOW_ID                    = "orders-to-warehouse"
        ELASTICIO_TASK_ID                    = "orders-to-warehouse"
        ELASTICIO_FLOW_VERSION               = "3"
        ELASTICIO_EXEC_ID                    = "orders-to-warehouse.v3"
        ELASTICIO_STEP_ID                    = "store"
        ELASTICIO_CONTAINER_ID               = "${NOMAD_ALLOC_ID}"
        ELASTICIO_COMP_ID                    = "sql"
        ELASTICIO_COMP_NAME                  = "sql"
        ELASTICIO_FUNCTION                   = "upsert"
        ELASTICIO_API_URI                    = "http://127.0.0.1:8646"
        ELASTICIO_OBJECT_STORAGE_URI         = "http://127.0.0.1:8646"
        ELASTICIO_API_USERNAME               = "default.orders-to-warehouse.v3"
        ELASTICIO_LISTEN_MESSAGES_ON         = "orders-to-warehouse.v3.store"
        ELASTICIO_PUBLISH_MESSAGES_TO        = "orders-to-warehouse.v3"
        ELASTICIO_DATA_ROUTING_KEY           = "store.data"
        ELASTICIO_ERROR_ROUTING_KEY          = "store.error"
        ELASTICIO_REBOUND_ROUTING_KEY        = "orders-to-warehouse.v3.store.rebound"
        ELASTICIO_SNAPSHOT_ROUTING_KEY       = "store.snapshot"
        ELASTICIO_RABBITMQ_PREFETCH_SAILOR   = "20"
        ELASTICIO_USER_ID                    = "nomadflows"
        ELASTICIO_PROTOCOL_VERSION           = "2"
        ELASTICIO_AMQP_PERSISTENT_MESSAGES   = "true"
        ELASTICIO_AMQP_RECONNECT_ATTEMPTS    = "1000000"
        ELASTICIO_AMQP_RECONNECT_TIMEOUT     = "1000"
        ELASTICIO_REBOUND_INITIAL_EXPIRATION = "16000"
        ELASTICIO_NO_SELF_PASSTRHOUGH        = "true"
        ELASTICIO_EMIT_LIGHTWEIGHT_MESSAGE   = "true"
        ELASTICIO_DATA_RATE_LIMIT            = "5"
        ELASTICIO_FLOW_WEBHOOK_URI           = "https://hooks.example/hook/default/orders-to-warehouse"
        WEBHOOK_URI                          = "https://hooks.example/hook/default/orders-to-warehouse"
        LOG_LEVEL                            = "debug"
        NOMADFLOWS_COMPONENT_DIR             = "/srv/components/sql/1.0.0"
        NOMADFLOWS_CREDENTIAL_FILE           = "${NOMAD_SECRETS_DIR}/credential.json"
        REQUEST_TIMEOUT                      = "20000"
        GREETING                             = "a \"quoted\" %%{text}"
      }

      # This job's own role in Vault reads the secrets below and nothing else. Nomad's client logs in with the
      # identity; the process gets neither that nor a token.
      vault {
        role         = "nomadflows.default.orders-to-warehouse.v3"
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
          {{ with secret "nomadflows/data/default/_versions/orders-to-warehouse.v3" }}{{ with .Data.data }}
          ELASTICIO_AMQP_URI={{ .amqp_password | urlquery | printf "amqp://default.orders-to-warehouse.v3:%s@127.0.0.1:5672/nomadflows.default?frameMax=131072&heartbeat=30" | toJSON }}
          ELASTICIO_API_KEY={{ .api_key | toJSON }}
          ELASTICIO_OBJECT_STORAGE_TOKEN={{ .api_key | hmacSHA256Hex "objects" | printf "default.orders-to-warehouse.v3.%s" | toJSON }}
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

        data = <<-EOT
          {{ with secret "nomadflows/data/default/warehouse-db" }}{{ .Data.data | toJSON }}{{ end }}
        EOT
      }

      resources {
        cpu    = 250
        memory = 512
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
