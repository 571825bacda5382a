// Written by `syncline schema types` from schema/crm.toml. Do not edit: write it again.

import type { SchemaDeclaration } from "../index.ts";

/** What a device has to know of the schema. */
export const crmSchema: SchemaDeclaration = {
  "version": 1,
  "hash": "b0ea5e0c5462d526",
  "roles": {
    "owner": 60,
    "admin": 50,
    "manager": 40,
    "agent": 30,
    "integration": 20,
    "viewer": 10
  },
  "entities": {
    "workspaces": {
      "title": "name",
      "create": "server",
      "update": "admin",
      "delete": "server",
      "id": ["slug"],
      "fields": {
        "name": {"type":"text","max_len":120,"format":"not_blank","required":true,"strategy":"manual-review"},
        "slug": {"type":"text","format":"slug","required":true,"immutable":true,"strategy":"manual-review"},
        "default_currency": {"type":"text","format":"currency","default":"USD","strategy":"manual-review"},
        "timezone": {"type":"text","format":"timezone","default":"UTC","strategy":"manual-review"},
        "default_country": {"type":"text","format":"country","strategy":"manual-review"},
        "lead_centric_enabled": {"type":"boolean","default":false,"server_only":true},
        "migration_stage": {"type":"integer","min":0,"max":4,"default":0,"server_only":true},
        "migration_generation": {"type":"integer","min":0,"default":0,"server_only":true},
        "offline_lease_hours": {"type":"integer","min":1,"max":720,"default":168,"strategy":"manual-review"},
        "plan": {"type":"choice","choices":["free","team","business"],"server_only":true}
      },
      "unique": [{"name":"slug","fields":["slug"]}]
    },
    "users": {
      "title": "name",
      "create": "server",
      "update": "agent",
      "delete": "server",
      "fields": {
        "email": {"type":"text","format":"email","indexed":true,"sensitive":true,"server_only":true},
        "name": {"type":"text","max_len":255,"required":true,"sensitive":true,"strategy":"last-write-wins"},
        "phone": {"type":"text","format":"phone","sensitive":true,"strategy":"last-write-wins"},
        "locale": {"type":"text","format":"language","strategy":"last-write-wins"},
        "timezone": {"type":"text","format":"timezone","strategy":"last-write-wins"},
        "avatar_url": {"type":"text","format":"https_url","strategy":"last-write-wins"},
        "status": {"type":"choice","choices":["active","suspended","deleted"],"default":"active","server_only":true},
        "last_seen_at": {"type":"timestamp","server_only":true}
      },
      "unique": [{"name":"email","fields":["email"],"case_folded":true}]
    },
    "workspace_members": {
      "create": "server",
      "update": "server",
      "delete": "server",
      "id": ["user_id"],
      "fields": {
        "user_id": {"type":"uuid","references":"users","required":true,"immutable":true,"server_only":true},
        "role": {"type":"choice","choices":["owner","admin","manager","agent","integration","viewer"],"required":true,"server_only":true},
        "read_scope": {"type":"choice","choices":["own","team","all"],"default":"all","server_only":true},
        "field_rules": {"type":"json","max_bytes":16384,"server_only":true},
        "status": {"type":"choice","choices":["invited","active","revoked"],"default":"active","server_only":true},
        "revoked_at": {"type":"timestamp","server_only":true}
      },
      "unique": [{"name":"member","fields":["user_id"]}]
    },
    "teams": {
      "title": "name",
      "create": "admin",
      "update": "manager",
      "delete": "admin",
      "fields": {
        "name": {"type":"text","max_len":120,"format":"not_blank","required":true},
        "member_ids": {"type":"set","items":"uuid","max_items":1000,"min_role":"admin","indexed":true},
        "assignment_mode": {"type":"choice","choices":["manual","round_robin","least_busy"],"default":"manual"},
        "assignment_max_30d": {"type":"integer","min":0,"default":30},
        "assignment_filter": {"type":"json","max_bytes":16384}
      },
      "unique": [{"name":"name","fields":["name"],"case_folded":true}]
    },
    "status_options": {
      "title": "name",
      "create": "admin",
      "update": "admin",
      "delete": "admin",
      "fields": {
        "category": {"type":"choice","choices":["lead","opportunity","appointment","appointment_result","conversation"],"required":true,"immutable":true},
        "name": {"type":"text","max_len":120,"format":"not_blank","required":true},
        "type": {"type":"choice","choices":["open","ongoing","on_hold","won","lost"],"default":"open","strategy":"manual-review"},
        "color": {"type":"text","max_len":32},
        "position": {"type":"text","format":"position"},
        "is_default": {"type":"boolean","default":false,"server_only":true},
        "is_active": {"type":"boolean","default":true}
      },
      "unique": [{"name":"name","fields":["category","name"],"case_folded":true}]
    },
    "settings": {
      "title": "key",
      "create": "agent",
      "update": "agent",
      "delete": "agent",
      "id": ["scope","user_id","key"],
      "fields": {
        "scope": {"type":"choice","choices":["workspace","user"],"required":true,"immutable":true},
        "user_id": {"type":"uuid","references":"users","immutable":true},
        "key": {"type":"text","max_len":120,"format":"not_blank","required":true,"immutable":true},
        "value": {"type":"json","max_bytes":65536,"strategy":"last-write-wins"}
      },
      "unique": [{"name":"key","fields":["scope","user_id","key"]}]
    },
    "companies": {
      "title": "name",
      "create": "integration",
      "update": "integration",
      "delete": "agent",
      "fields": {
        "name": {"type":"text","max_len":255,"format":"not_blank","required":true,"indexed":true},
        "domain": {"type":"text","format":"hostname","indexed":true},
        "type": {"type":"choice","choices":["prospect","customer","partner","reseller","other"]},
        "industry": {"type":"text","max_len":120},
        "employees_range": {"type":"choice","choices":["1-10","11-50","51-200","201-500","501-1000","1000+"]},
        "annual_revenue": {"type":"decimal","precision":18,"scale":2},
        "currency": {"type":"text","format":"currency"},
        "phone": {"type":"text","format":"phone"},
        "website": {"type":"text","format":"url"},
        "address": {"type":"json","max_bytes":4096,"strategy":"last-write-wins"},
        "parent_id": {"type":"uuid","references":"companies"},
        "owner_id": {"type":"uuid","references":"users","strategy":"higher-role-wins"},
        "team_id": {"type":"uuid","references":"teams","strategy":"higher-role-wins"},
        "tags": {"type":"set","items":"folded_text"},
        "linkedin_url": {"type":"text","format":"url"},
        "notes": {"type":"text","max_len":20000,"strategy":"version-control"}
      },
      "groups": {
        "revenue": {"fields":["annual_revenue","currency"],"strategy":"manual-review"}
      },
      "unique": [{"name":"domain","fields":["domain"],"case_folded":true}]
    },
    "contacts": {
      "title": "name",
      "create": "integration",
      "update": "integration",
      "delete": "agent",
      "fields": {
        "firstname": {"type":"text","max_len":255,"sensitive":true},
        "lastname": {"type":"text","max_len":255,"sensitive":true},
        "name": {"type":"text","max_len":511,"sensitive":true},
        "email": {"type":"text","format":"email","indexed":true,"sensitive":true},
        "phone_number": {"type":"text","format":"phone","indexed":true,"sensitive":true},
        "secondary_phone": {"type":"text","format":"phone","sensitive":true},
        "company_name": {"type":"text","max_len":255},
        "company_id": {"type":"uuid","references":"companies"},
        "job_title": {"type":"text","max_len":255},
        "date_of_birth": {"type":"date","sensitive":true},
        "gender": {"type":"text","max_len":40,"sensitive":true},
        "language": {"type":"text","format":"language"},
        "timezone": {"type":"text","format":"timezone"},
        "website": {"type":"text","format":"url"},
        "st_address": {"type":"text","max_len":255,"sensitive":true},
        "address_2": {"type":"text","max_len":255,"sensitive":true},
        "city": {"type":"text","max_len":120},
        "state": {"type":"text","max_len":120},
        "zip": {"type":"text","max_len":20},
        "country": {"type":"text","max_len":80},
        "lead_status": {"type":"text","max_len":120},
        "lead_status_id": {"type":"uuid","references":"status_options"},
        "lead_source": {"type":"text","max_len":255},
        "sub_source": {"type":"text","max_len":255},
        "product": {"type":"text","max_len":255},
        "market": {"type":"text","max_len":255},
        "priority": {"type":"choice","choices":["low","medium","high","urgent"],"strategy":"last-write-wins"},
        "lead_score": {"type":"integer","min":0,"max":100,"server_only":true},
        "estimated_value": {"type":"decimal","precision":18,"scale":2,"strategy":"manual-review"},
        "sentiment": {"type":"choice","choices":["positive","neutral","negative"],"server_only":true},
        "conversation_status": {"type":"choice","choices":["New","Open","Pending","Done","Closed"],"strategy":"last-write-wins"},
        "unread_count": {"type":"integer","min":0,"server_only":true},
        "last_message": {"type":"text","max_len":1000,"sensitive":true,"server_only":true},
        "last_message_at": {"type":"timestamp","server_only":true},
        "last_contacted_at": {"type":"timestamp","strategy":"max"},
        "last_activity_at": {"type":"timestamp","strategy":"max"},
        "appointment_status_id": {"type":"uuid","references":"status_options"},
        "appointment_result_id": {"type":"uuid","references":"status_options"},
        "appointment_date": {"type":"timestamp"},
        "follow_up_date": {"type":"date","strategy":"last-write-wins"},
        "assigned_to": {"type":"uuid","references":"users","strategy":"higher-role-wins"},
        "team_id": {"type":"uuid","references":"teams","strategy":"higher-role-wins"},
        "board_id": {"type":"uuid","strategy":"last-write-wins"},
        "crm_id": {"type":"text","max_len":255,"indexed":true,"immutable":true},
        "webhook_name": {"type":"text","max_len":255,"immutable":true},
        "opt_in_through": {"type":"text","max_len":255,"immutable":true},
        "dnd": {"type":"json","max_bytes":1024,"strategy":"most-restrictive-wins"},
        "utm": {"type":"json","max_bytes":8192,"immutable":true},
        "tags": {"type":"set","items":"folded_text"},
        "is_favorite": {"type":"boolean","strategy":"last-write-wins"},
        "is_archived": {"type":"boolean","default":false,"strategy":"last-write-wins"},
        "notes": {"type":"text","max_len":20000,"sensitive":true,"strategy":"version-control"},
        "metadata": {"type":"json","max_bytes":65536,"strategy":"merge-keys"},
        "created_at": {"type":"timestamp","server_only":true,"immutable":true},
        "updated_at": {"type":"timestamp","server_only":true}
      },
      "groups": {
        "postal_address": {"fields":["st_address","address_2","city","state","zip","country"],"strategy":"last-write-wins"},
        "lead_state": {"fields":["lead_status","lead_status_id"]}
      }
    },
    "leads": {
      "title": "product_interest",
      "create": "integration",
      "update": "integration",
      "delete": "agent",
      "fields": {
        "contact_id": {"type":"uuid","references":"contacts","required":true,"strategy":"manual-review"},
        "is_primary": {"type":"boolean","default":false,"server_only":true},
        "lead_source": {"type":"text","max_len":255},
        "sub_source": {"type":"text","max_len":255},
        "product_interest": {"type":"text","max_len":255},
        "market": {"type":"text","max_len":255},
        "status_option_id": {"type":"uuid","references":"status_options","strategy":"last-write-wins"},
        "temperature": {"type":"choice","choices":["cold","warm","hot"],"strategy":"last-write-wins"},
        "priority": {"type":"choice","choices":["low","medium","high","urgent"],"default":"medium","strategy":"last-write-wins"},
        "lead_score": {"type":"integer","min":0,"max":100,"server_only":true},
        "estimated_value": {"type":"decimal","precision":18,"scale":2},
        "currency": {"type":"text","format":"currency"},
        "expected_close_date": {"type":"date","strategy":"last-write-wins"},
        "owner_id": {"type":"uuid","references":"users","strategy":"higher-role-wins"},
        "team_id": {"type":"uuid","references":"teams","strategy":"higher-role-wins"},
        "company_id": {"type":"uuid","references":"companies"},
        "campaign_id": {"type":"uuid","immutable":true},
        "utm_source": {"type":"text","max_len":255,"immutable":true},
        "utm_medium": {"type":"text","max_len":255,"immutable":true},
        "utm_campaign": {"type":"text","max_len":255,"immutable":true},
        "captured_url": {"type":"text","format":"url","immutable":true},
        "external_id": {"type":"text","max_len":255,"indexed":true,"immutable":true},
        "converted_at": {"type":"timestamp","server_only":true},
        "converted_opportunity_id": {"type":"uuid","references":"opportunities","strategy":"manual-review"},
        "lost_reason_id": {"type":"uuid","references":"status_options","strategy":"last-write-wins"},
        "last_activity_at": {"type":"timestamp","strategy":"max"},
        "tags": {"type":"set","items":"folded_text"},
        "notes": {"type":"text","max_len":20000,"sensitive":true,"strategy":"version-control"},
        "qualification_status": {"type":"choice","choices":["unqualified","in_process","marketing_qualified","sales_qualified","disqualified"],"default":"unqualified","strategy":"state-machine","transitions":{"unqualified":["in_process","marketing_qualified","disqualified"],"in_process":["marketing_qualified","sales_qualified","disqualified"],"marketing_qualified":["in_process","sales_qualified","disqualified"],"sales_qualified":["disqualified"],"disqualified":["in_process"]}}
      },
      "groups": {
        "value": {"fields":["estimated_value","currency"],"strategy":"manual-review"}
      }
    },
    "lead_activities": {
      "create": "integration",
      "delete": "admin",
      "insert_only": true,
      "fields": {
        "lead_id": {"type":"uuid","references":"leads","required":true},
        "activity_type": {"type":"choice","choices":["lead_created","stage_changed","status_changed","score_updated","contact_updated","call","email","sms","meeting","note","task","capture","merge","import","custom"],"required":true},
        "activity_data": {"type":"json","max_bytes":32768,"default":{}},
        "performed_by": {"type":"uuid","references":"users","server_only":true},
        "performed_at": {"type":"timestamp","server_only":true,"indexed":true},
        "is_automated": {"type":"boolean","default":false},
        "notes": {"type":"text","max_len":20000,"sensitive":true},
        "idempotency_key": {"type":"text","max_len":255}
      },
      "unique": [{"name":"idempotency_key","fields":["idempotency_key"]}]
    },
    "custom_field_definitions": {
      "title": "label",
      "create": "admin",
      "update": "admin",
      "delete": "admin",
      "fields": {
        "context": {"type":"choice","choices":["contact","lead","company","opportunity"],"required":true,"immutable":true,"strategy":"manual-review"},
        "name": {"type":"text","max_len":255,"format":"not_blank","required":true,"immutable":true},
        "label": {"type":"text","max_len":255,"strategy":"last-write-wins"},
        "field_type": {"type":"choice","choices":["text","long_text","number","currency","date","datetime","boolean","select","multi_select","phone","email","url","user","file"],"default":"text","strategy":"manual-review"},
        "options": {"type":"json","max_bytes":65536},
        "is_required": {"type":"boolean","default":false,"strategy":"last-write-wins"},
        "is_unique": {"type":"boolean","default":false,"strategy":"manual-review"},
        "sensitivity": {"type":"choice","choices":["normal","sensitive"],"default":"normal","immutable":true},
        "position": {"type":"text","format":"position","strategy":"last-write-wins"}
      },
      "unique": [{"name":"name","fields":["context","name"]}]
    },
    "lead_custom_fields": {
      "title": "field_name",
      "create": "integration",
      "update": "integration",
      "delete": "agent",
      "id": ["lead_id","field_name"],
      "fields": {
        "lead_id": {"type":"uuid","references":"leads","required":true,"immutable":true},
        "field_name": {"type":"text","max_len":255,"format":"not_blank","required":true,"immutable":true},
        "field_type": {"type":"text","max_len":50,"default":"text","immutable":true},
        "field_value": {"type":"text","max_len":20000,"sensitive":true,"strategy":"last-write-wins"},
        "value_num": {"type":"decimal","precision":30,"scale":10,"server_only":true},
        "value_time": {"type":"timestamp","server_only":true},
        "value_json": {"type":"json","max_bytes":32768}
      },
      "unique": [{"name":"field_name","fields":["lead_id","field_name"]}]
    },
    "pipelines": {
      "title": "name",
      "create": "admin",
      "update": "admin",
      "delete": "admin",
      "fields": {
        "name": {"type":"text","max_len":120,"format":"not_blank","required":true},
        "entity": {"type":"choice","choices":["lead","opportunity"],"default":"opportunity","immutable":true},
        "is_default": {"type":"boolean","default":false,"server_only":true},
        "rotten_days": {"type":"integer","min":1,"max":3650,"strategy":"last-write-wins"},
        "position": {"type":"text","format":"position","strategy":"last-write-wins"}
      },
      "unique": [{"name":"name","fields":["name"],"case_folded":true}]
    },
    "pipeline_stages": {
      "title": "name",
      "create": "admin",
      "update": "admin",
      "delete": "admin",
      "fields": {
        "pipeline_id": {"type":"uuid","references":"pipelines","required":true,"immutable":true},
        "name": {"type":"text","max_len":120,"format":"not_blank","required":true},
        "type": {"type":"choice","choices":["open","won","lost"],"default":"open","strategy":"manual-review"},
        "probability": {"type":"integer","min":0,"max":100,"strategy":"last-write-wins"},
        "position": {"type":"text","format":"position","strategy":"last-write-wins"},
        "required_fields": {"type":"set","items":"text","max_items":50}
      }
    },
    "opportunities": {
      "title": "name",
      "create": "agent",
      "update": "agent",
      "delete": "manager",
      "fields": {
        "name": {"type":"text","max_len":255,"format":"not_blank","required":true},
        "contact_id": {"type":"uuid","references":"contacts","strategy":"manual-review"},
        "lead_id": {"type":"uuid","references":"leads","strategy":"manual-review"},
        "company_id": {"type":"uuid","references":"companies"},
        "pipeline_id": {"type":"uuid","references":"pipelines","required":true},
        "stage_id": {"type":"uuid","references":"pipeline_stages","required":true},
        "status": {"type":"choice","choices":["open","won","lost","abandoned"],"default":"open","server_only":true},
        "probability": {"type":"integer","min":0,"max":100},
        "amount": {"type":"decimal","precision":18,"scale":2},
        "currency": {"type":"text","format":"currency"},
        "exchange_rate": {"type":"decimal","precision":18,"scale":8,"min":"0.00000001"},
        "expected_close_date": {"type":"date","strategy":"last-write-wins"},
        "closed_at": {"type":"timestamp","server_only":true},
        "lost_reason_id": {"type":"uuid","references":"status_options","strategy":"last-write-wins"},
        "lost_notes": {"type":"text","max_len":5000,"strategy":"last-write-wins"},
        "next_step": {"type":"text","max_len":1000,"strategy":"last-write-wins"},
        "owner_id": {"type":"uuid","references":"users","strategy":"higher-role-wins"},
        "follower_ids": {"type":"set","items":"uuid","max_items":500},
        "source": {"type":"text","max_len":255,"immutable":true}
      },
      "groups": {
        "stage": {"fields":["pipeline_id","stage_id","probability"],"strategy":"last-write-wins"},
        "money": {"fields":["amount","currency","exchange_rate"],"strategy":"manual-review"}
      }
    },
    "appointments": {
      "title": "title",
      "create": "integration",
      "update": "integration",
      "delete": "agent",
      "fields": {
        "contact_id": {"type":"uuid","references":"contacts","strategy":"manual-review"},
        "lead_id": {"type":"uuid","references":"leads","strategy":"manual-review"},
        "title": {"type":"text","max_len":255,"strategy":"last-write-wins"},
        "start_at": {"type":"timestamp","indexed":true},
        "end_at": {"type":"timestamp"},
        "timezone": {"type":"text","format":"timezone"},
        "result_option_id": {"type":"uuid","references":"status_options","strategy":"higher-role-wins"},
        "location_type": {"type":"choice","choices":["phone","address","zoom","gmeet","ms_teams","custom"],"strategy":"last-write-wins"},
        "location": {"type":"text","max_len":1000,"strategy":"last-write-wins"},
        "assigned_to": {"type":"uuid","references":"users","strategy":"higher-role-wins"},
        "set_by": {"type":"uuid","references":"users","server_only":true},
        "confirmed_by": {"type":"uuid","references":"users","server_only":true},
        "reminders": {"type":"json","max_bytes":8192},
        "rrule": {"type":"text","max_len":1000,"strategy":"manual-review"},
        "ical_uid": {"type":"text","max_len":255,"server_only":true},
        "status": {"type":"choice","choices":["new","confirmed","cancelled","showed","noshow","invalid"],"default":"new","strategy":"state-machine","transitions":{"new":["confirmed","cancelled","showed","noshow","invalid"],"confirmed":["cancelled","showed","noshow","invalid"],"cancelled":["new"],"noshow":["new","showed"],"showed":["noshow"]}}
      },
      "groups": {
        "time": {"fields":["start_at","end_at","timezone"],"strategy":"manual-review"}
      },
      "unique": [{"name":"ical_uid","fields":["ical_uid"]}]
    },
    "conversations": {
      "create": "integration",
      "update": "integration",
      "delete": "manager",
      "id": ["contact_id","channel"],
      "fields": {
        "contact_id": {"type":"uuid","references":"contacts","required":true,"immutable":true,"strategy":"manual-review"},
        "channel": {"type":"choice","choices":["sms","email","whatsapp","livechat","facebook","instagram","call"],"required":true,"immutable":true},
        "status": {"type":"choice","choices":["open","pending","snoozed","closed"],"default":"open","strategy":"last-write-wins"},
        "assigned_to": {"type":"uuid","references":"users","strategy":"higher-role-wins"},
        "unread_count": {"type":"integer","min":0,"server_only":true},
        "read_up_to": {"type":"json","max_bytes":32768,"strategy":"merge-keys"},
        "last_message_at": {"type":"timestamp","server_only":true},
        "sentiment": {"type":"choice","choices":["positive","neutral","negative"],"server_only":true}
      },
      "unique": [{"name":"channel","fields":["contact_id","channel"]}]
    },
    "messages": {
      "create": "integration",
      "update": "integration",
      "delete": "admin",
      "fields": {
        "contact_id": {"type":"uuid","references":"contacts","strategy":"manual-review"},
        "conversation_id": {"type":"uuid","references":"conversations","immutable":true},
        "lead_id": {"type":"uuid","references":"leads","strategy":"last-write-wins"},
        "direction": {"type":"choice","choices":["inbound","outbound"],"required":true,"immutable":true},
        "channel": {"type":"choice","choices":["sms","email","whatsapp","livechat","facebook","instagram","call"],"required":true,"immutable":true},
        "body": {"type":"text","max_len":16384,"sensitive":true,"immutable":true},
        "content_type": {"type":"text","max_len":120,"default":"text/plain","immutable":true},
        "attachments": {"type":"json","max_bytes":16384,"immutable":true},
        "status": {"type":"choice","choices":["queued","pending","sent","delivered","read","failed","undelivered","opt_out"],"default":"queued","strategy":"monotone","order":["queued","pending","sent","failed","undelivered","opt_out","delivered","read"]},
        "external_id": {"type":"text","max_len":255,"server_only":true},
        "error": {"type":"text","max_len":1000,"server_only":true},
        "sent_by": {"type":"uuid","references":"users","immutable":true},
        "sent_at": {"type":"timestamp","server_only":true}
      },
      "unique": [{"name":"external_id","fields":["channel","external_id"]}]
    },
    "tasks": {
      "title": "title",
      "create": "integration",
      "update": "integration",
      "delete": "agent",
      "fields": {
        "title": {"type":"text","max_len":255,"format":"not_blank","required":true},
        "type": {"type":"choice","choices":["follow_up","call","email","todo","review"],"default":"todo","strategy":"last-write-wins"},
        "status": {"type":"choice","choices":["backlog","todo","in_progress","canceled","done"],"default":"todo","strategy":"priority-wins","order":["backlog","todo","in_progress","canceled","done"]},
        "priority": {"type":"choice","choices":["low","medium","high","urgent"],"default":"medium","strategy":"last-write-wins"},
        "due_at": {"type":"timestamp","indexed":true},
        "all_day": {"type":"boolean","default":false},
        "assigned_to": {"type":"uuid","references":"users","strategy":"higher-role-wins"},
        "subject_type": {"type":"choice","choices":["contact","lead","opportunity","company"],"immutable":true},
        "subject_id": {"type":"uuid","indexed":true,"immutable":true},
        "completed_at": {"type":"timestamp","server_only":true},
        "description": {"type":"text","max_len":20000,"strategy":"version-control"}
      },
      "groups": {
        "due": {"fields":["due_at","all_day"],"strategy":"last-write-wins"}
      }
    },
    "notes": {
      "title": "title",
      "create": "integration",
      "update": "agent",
      "delete": "agent",
      "fields": {
        "subject_type": {"type":"choice","choices":["contact","lead","opportunity","company","appointment"],"immutable":true},
        "subject_id": {"type":"uuid","indexed":true,"immutable":true},
        "title": {"type":"text","max_len":255,"strategy":"last-write-wins"},
        "body": {"type":"text","max_len":65536,"sensitive":true,"strategy":"version-control"},
        "pinned": {"type":"boolean","default":false,"strategy":"last-write-wins"},
        "author_id": {"type":"uuid","references":"users","server_only":true}
      }
    },
    "products": {
      "title": "name",
      "create": "manager",
      "update": "manager",
      "delete": "manager",
      "fields": {
        "sku": {"type":"text","max_len":64,"indexed":true,"strategy":"manual-review"},
        "name": {"type":"text","max_len":255,"format":"not_blank","required":true},
        "description": {"type":"text","max_len":20000,"strategy":"version-control"},
        "unit_price": {"type":"decimal","precision":18,"scale":4,"min":"0"},
        "currency": {"type":"text","format":"currency"},
        "tax_rate": {"type":"decimal","precision":6,"scale":4,"min":"0","max":"1","strategy":"manual-review"},
        "is_active": {"type":"boolean","default":true,"strategy":"last-write-wins"}
      },
      "groups": {
        "price": {"fields":["unit_price","currency"],"strategy":"manual-review"}
      },
      "unique": [{"name":"sku","fields":["sku"]}]
    },
    "proposals": {
      "title": "title",
      "create": "agent",
      "update": "agent",
      "delete": "manager",
      "fields": {
        "number": {"type":"text","max_len":40,"server_only":true},
        "opportunity_id": {"type":"uuid","references":"opportunities","strategy":"manual-review"},
        "version": {"type":"integer","min":1,"default":1,"server_only":true},
        "title": {"type":"text","max_len":255,"strategy":"last-write-wins"},
        "body": {"type":"text","max_len":65536,"strategy":"version-control"},
        "lines": {"type":"json","max_bytes":65536,"strategy":"manual-review"},
        "subtotal": {"type":"decimal","precision":18,"scale":2,"server_only":true},
        "total": {"type":"decimal","precision":18,"scale":2,"server_only":true},
        "currency": {"type":"text","format":"currency","strategy":"manual-review"},
        "valid_until": {"type":"date","strategy":"last-write-wins"},
        "owner_id": {"type":"uuid","references":"users","strategy":"higher-role-wins"},
        "status": {"type":"choice","choices":["draft","in_review","approved","sent","accepted","rejected","expired"],"default":"draft","strategy":"state-machine","transitions":{"draft":["in_review"],"in_review":["draft","approved","rejected"],"approved":["sent","expired"],"sent":["accepted","rejected","expired"],"rejected":["draft"]}}
      },
      "unique": [{"name":"number","fields":["number"]}]
    },
    "content": {
      "title": "title",
      "create": "agent",
      "update": "agent",
      "delete": "manager",
      "fields": {
        "kind": {"type":"choice","choices":["template","snippet","document","legal"],"required":true,"immutable":true},
        "title": {"type":"text","max_len":255,"strategy":"last-write-wins"},
        "body": {"type":"text","max_len":65536,"strategy":"version-control"},
        "version": {"type":"integer","min":1,"default":1,"server_only":true},
        "language": {"type":"text","format":"language","strategy":"last-write-wins"},
        "tags": {"type":"set","items":"folded_text"},
        "status": {"type":"choice","choices":["draft","published","archived"],"default":"draft","strategy":"state-machine","transitions":{"draft":["published","archived"],"published":["draft","archived"],"archived":["draft"]}}
      }
    },
    "approvals": {
      "create": "server",
      "update": "manager",
      "delete": "server",
      "fields": {
        "subject_type": {"type":"choice","choices":["proposal","content","opportunity","migration_stage"],"required":true,"server_only":true},
        "subject_id": {"type":"uuid","required":true,"indexed":true,"server_only":true},
        "subject_version": {"type":"integer","min":0,"server_only":true},
        "requested_by": {"type":"uuid","references":"users","server_only":true},
        "approver_id": {"type":"uuid","references":"users","server_only":true},
        "approver_rank": {"type":"integer","min":0,"max":255,"server_only":true},
        "decision": {"type":"choice","choices":["pending","approved","rejected","withdrawn"],"default":"pending","strategy":"higher-role-wins"},
        "decided_at": {"type":"timestamp","server_only":true},
        "comment": {"type":"text","max_len":5000,"strategy":"last-write-wins"}
      }
    },
    "imports": {
      "create": "server",
      "update": "server",
      "delete": "server",
      "fields": {
        "entity": {"type":"text","max_len":63,"required":true,"server_only":true},
        "file_sha256": {"type":"text","max_len":64,"indexed":true,"server_only":true},
        "dialect": {"type":"json","max_bytes":4096,"server_only":true},
        "mapping": {"type":"json","max_bytes":65536,"server_only":true},
        "match_keys": {"type":"json","max_bytes":1024,"server_only":true},
        "on_match": {"type":"choice","choices":["skip","fill_empty","overwrite","create"],"default":"skip","server_only":true},
        "state": {"type":"choice","choices":["uploaded","previewed","running","paused","done","failed","reverted"],"default":"uploaded","server_only":true},
        "counters": {"type":"json","max_bytes":1024,"server_only":true},
        "last_row": {"type":"integer","min":0,"server_only":true}
      }
    },
    "merges": {
      "create": "server",
      "update": "server",
      "delete": "server",
      "fields": {
        "entity": {"type":"text","max_len":63,"required":true,"server_only":true},
        "winner_id": {"type":"uuid","required":true,"indexed":true,"server_only":true},
        "loser_id": {"type":"uuid","required":true,"indexed":true,"server_only":true},
        "before": {"type":"json","max_bytes":131072,"server_only":true},
        "undone_at": {"type":"timestamp","server_only":true}
      },
      "unique": [{"name":"loser","fields":["loser_id"]}]
    },
    "conflicts": {
      "create": "server",
      "update": "agent",
      "delete": "server",
      "fields": {
        "entity": {"type":"text","max_len":63,"required":true,"server_only":true},
        "record_id": {"type":"uuid","required":true,"indexed":true,"server_only":true},
        "kind": {"type":"choice","choices":["field","delete_edit"],"default":"field","server_only":true},
        "fields": {"type":"json","max_bytes":16384,"server_only":true},
        "base": {"type":"json","max_bytes":131072,"server_only":true,"sensitive":true},
        "mine": {"type":"json","max_bytes":131072,"server_only":true,"sensitive":true},
        "theirs": {"type":"json","max_bytes":131072,"server_only":true,"sensitive":true},
        "result": {"type":"json","max_bytes":131072,"server_only":true,"sensitive":true},
        "mine_user": {"type":"uuid","references":"users","server_only":true},
        "theirs_user": {"type":"uuid","references":"users","server_only":true},
        "mine_client": {"type":"uuid","server_only":true},
        "mine_seq": {"type":"integer","min":0,"server_only":true},
        "strategy": {"type":"text","max_len":63,"server_only":true},
        "state": {"type":"choice","choices":["open","resolved","auto_resolved","expired"],"default":"open","indexed":true,"server_only":true},
        "resolution": {"type":"choice","choices":["use_mine","use_theirs","custom"],"server_only":true},
        "resolved_by": {"type":"uuid","references":"users","server_only":true},
        "mutation_id": {"type":"uuid","indexed":true,"server_only":true},
        "assigned_to": {"type":"uuid","references":"users"},
        "created_at": {"type":"timestamp","server_only":true,"indexed":true},
        "due_at": {"type":"timestamp","indexed":true}
      }
    }
  }
};
