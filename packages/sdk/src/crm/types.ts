// Written by `syncline schema types` from schema/crm.toml. Do not edit: write it again.

import type { Json } from "../index.ts";

/** Every entity of the schema. */
export interface CrmEntities {
  workspaces: { record: Workspace; create: WorkspaceCreate; update: WorkspaceUpdate };
  users: { record: User; create: UserCreate; update: UserUpdate };
  workspace_members: { record: WorkspaceMember; create: WorkspaceMemberCreate; update: WorkspaceMemberUpdate };
  teams: { record: Team; create: TeamCreate; update: TeamUpdate };
  status_options: { record: StatusOption; create: StatusOptionCreate; update: StatusOptionUpdate };
  settings: { record: Setting; create: SettingCreate; update: SettingUpdate };
  companies: { record: Company; create: CompanyCreate; update: CompanyUpdate };
  contacts: { record: Contact; create: ContactCreate; update: ContactUpdate };
  leads: { record: Lead; create: LeadCreate; update: LeadUpdate };
  lead_activities: { record: LeadActivity; create: LeadActivityCreate; update: LeadActivityUpdate };
  custom_field_definitions: { record: CustomFieldDefinition; create: CustomFieldDefinitionCreate; update: CustomFieldDefinitionUpdate };
  lead_custom_fields: { record: LeadCustomField; create: LeadCustomFieldCreate; update: LeadCustomFieldUpdate };
  pipelines: { record: Pipeline; create: PipelineCreate; update: PipelineUpdate };
  pipeline_stages: { record: PipelineStage; create: PipelineStageCreate; update: PipelineStageUpdate };
  opportunities: { record: Opportunity; create: OpportunityCreate; update: OpportunityUpdate };
  appointments: { record: Appointment; create: AppointmentCreate; update: AppointmentUpdate };
  conversations: { record: Conversation; create: ConversationCreate; update: ConversationUpdate };
  messages: { record: Message; create: MessageCreate; update: MessageUpdate };
  tasks: { record: Task; create: TaskCreate; update: TaskUpdate };
  notes: { record: Note; create: NoteCreate; update: NoteUpdate };
  products: { record: Product; create: ProductCreate; update: ProductUpdate };
  proposals: { record: Proposal; create: ProposalCreate; update: ProposalUpdate };
  content: { record: Content; create: ContentCreate; update: ContentUpdate };
  approvals: { record: Approval; create: ApprovalCreate; update: ApprovalUpdate };
  imports: { record: Import; create: ImportCreate; update: ImportUpdate };
  merges: { record: Merge; create: MergeCreate; update: MergeUpdate };
  conflicts: { record: Conflict; create: ConflictCreate; update: ConflictUpdate };
}

export interface Workspace {
  name?: string;
  slug?: string;
  default_currency?: string;
  timezone?: string;
  default_country?: string;
  lead_centric_enabled?: boolean;
  migration_stage?: number;
  migration_generation?: number;
  offline_lease_hours?: number;
  plan?: "free" | "team" | "business";
}

export type WorkspaceCreate = never;

export interface WorkspaceUpdate {
  name?: string;
  default_currency?: string | null;
  timezone?: string | null;
  default_country?: string | null;
  offline_lease_hours?: number | null;
}

export interface User {
  email?: string;
  name?: string;
  phone?: string;
  locale?: string;
  timezone?: string;
  avatar_url?: string;
  status?: "active" | "suspended" | "deleted";
  last_seen_at?: string;
}

export type UserCreate = never;

export interface UserUpdate {
  name?: string;
  phone?: string | null;
  locale?: string | null;
  timezone?: string | null;
  avatar_url?: string | null;
}

export interface WorkspaceMember {
  user_id?: string;
  role?: "owner" | "admin" | "manager" | "agent" | "integration" | "viewer";
  read_scope?: "own" | "team" | "all";
  field_rules?: Json;
  status?: "invited" | "active" | "revoked";
  revoked_at?: string;
}

export type WorkspaceMemberCreate = never;

export type WorkspaceMemberUpdate = Record<string, never>;

export interface Team {
  name?: string;
  member_ids?: readonly string[];
  assignment_mode?: "manual" | "round_robin" | "least_busy";
  assignment_max_30d?: number;
  assignment_filter?: Json;
}

export interface TeamCreate {
  name: string;
  member_ids?: readonly string[] | null;
  assignment_mode?: "manual" | "round_robin" | "least_busy" | null;
  assignment_max_30d?: number | null;
  assignment_filter?: Json | null;
}

export interface TeamUpdate {
  name?: string;
  member_ids?: readonly string[] | { add?: readonly string[]; remove?: readonly string[] } | null;
  assignment_mode?: "manual" | "round_robin" | "least_busy" | null;
  assignment_max_30d?: number | null;
  assignment_filter?: Json | null;
}

export interface StatusOption {
  category?: "lead" | "opportunity" | "appointment" | "appointment_result" | "conversation";
  name?: string;
  type?: "open" | "ongoing" | "on_hold" | "won" | "lost";
  color?: string;
  position?: string;
  is_default?: boolean;
  is_active?: boolean;
}

export interface StatusOptionCreate {
  category: "lead" | "opportunity" | "appointment" | "appointment_result" | "conversation";
  name: string;
  type?: "open" | "ongoing" | "on_hold" | "won" | "lost" | null;
  color?: string | null;
  position?: string | null;
  is_active?: boolean | null;
}

export interface StatusOptionUpdate {
  name?: string;
  type?: "open" | "ongoing" | "on_hold" | "won" | "lost" | null;
  color?: string | null;
  position?: string | null;
  is_active?: boolean | null;
}

export interface Setting {
  scope?: "workspace" | "user";
  user_id?: string;
  key?: string;
  value?: Json;
}

export interface SettingCreate {
  scope: "workspace" | "user";
  user_id?: string | null;
  key: string;
  value?: Json | null;
}

export interface SettingUpdate {
  value?: Json | null;
}

export interface Company {
  name?: string;
  domain?: string;
  type?: "prospect" | "customer" | "partner" | "reseller" | "other";
  industry?: string;
  employees_range?: "1-10" | "11-50" | "51-200" | "201-500" | "501-1000" | "1000+";
  annual_revenue?: string;
  currency?: string;
  phone?: string;
  website?: string;
  address?: Json;
  parent_id?: string;
  owner_id?: string;
  team_id?: string;
  tags?: readonly string[];
  linkedin_url?: string;
  notes?: string;
}

export interface CompanyCreate {
  name: string;
  domain?: string | null;
  type?: "prospect" | "customer" | "partner" | "reseller" | "other" | null;
  industry?: string | null;
  employees_range?: "1-10" | "11-50" | "51-200" | "201-500" | "501-1000" | "1000+" | null;
  annual_revenue?: string | null;
  currency?: string | null;
  phone?: string | null;
  website?: string | null;
  address?: Json | null;
  parent_id?: string | null;
  owner_id?: string | null;
  team_id?: string | null;
  tags?: readonly string[] | null;
  linkedin_url?: string | null;
  notes?: string | null;
}

export interface CompanyUpdate {
  name?: string;
  domain?: string | null;
  type?: "prospect" | "customer" | "partner" | "reseller" | "other" | null;
  industry?: string | null;
  employees_range?: "1-10" | "11-50" | "51-200" | "201-500" | "501-1000" | "1000+" | null;
  annual_revenue?: string | null;
  currency?: string | null;
  phone?: string | null;
  website?: string | null;
  address?: Json | null;
  parent_id?: string | null;
  owner_id?: string | null;
  team_id?: string | null;
  tags?: readonly string[] | { add?: readonly string[]; remove?: readonly string[] } | null;
  linkedin_url?: string | null;
  notes?: string | null;
}

export interface Contact {
  firstname?: string;
  lastname?: string;
  name?: string;
  email?: string;
  phone_number?: string;
  secondary_phone?: string;
  company_name?: string;
  company_id?: string;
  job_title?: string;
  date_of_birth?: string;
  gender?: string;
  language?: string;
  timezone?: string;
  website?: string;
  st_address?: string;
  address_2?: string;
  city?: string;
  state?: string;
  zip?: string;
  country?: string;
  lead_status?: string;
  lead_status_id?: string;
  lead_source?: string;
  sub_source?: string;
  product?: string;
  market?: string;
  priority?: "low" | "medium" | "high" | "urgent";
  lead_score?: number;
  estimated_value?: string;
  sentiment?: "positive" | "neutral" | "negative";
  conversation_status?: "New" | "Open" | "Pending" | "Done" | "Closed";
  unread_count?: number;
  last_message?: string;
  last_message_at?: string;
  last_contacted_at?: string;
  last_activity_at?: string;
  appointment_status_id?: string;
  appointment_result_id?: string;
  appointment_date?: string;
  follow_up_date?: string;
  assigned_to?: string;
  team_id?: string;
  board_id?: string;
  crm_id?: string;
  webhook_name?: string;
  opt_in_through?: string;
  dnd?: Json;
  utm?: Json;
  tags?: readonly string[];
  is_favorite?: boolean;
  is_archived?: boolean;
  notes?: string;
  metadata?: Json;
  created_at?: string;
  updated_at?: string;
}

export interface ContactCreate {
  firstname?: string | null;
  lastname?: string | null;
  name?: string | null;
  email?: string | null;
  phone_number?: string | null;
  secondary_phone?: string | null;
  company_name?: string | null;
  company_id?: string | null;
  job_title?: string | null;
  date_of_birth?: string | null;
  gender?: string | null;
  language?: string | null;
  timezone?: string | null;
  website?: string | null;
  st_address?: string | null;
  address_2?: string | null;
  city?: string | null;
  state?: string | null;
  zip?: string | null;
  country?: string | null;
  lead_status?: string | null;
  lead_status_id?: string | null;
  lead_source?: string | null;
  sub_source?: string | null;
  product?: string | null;
  market?: string | null;
  priority?: "low" | "medium" | "high" | "urgent" | null;
  estimated_value?: string | null;
  conversation_status?: "New" | "Open" | "Pending" | "Done" | "Closed" | null;
  last_contacted_at?: string | null;
  last_activity_at?: string | null;
  appointment_status_id?: string | null;
  appointment_result_id?: string | null;
  appointment_date?: string | null;
  follow_up_date?: string | null;
  assigned_to?: string | null;
  team_id?: string | null;
  board_id?: string | null;
  crm_id?: string | null;
  webhook_name?: string | null;
  opt_in_through?: string | null;
  dnd?: Json | null;
  utm?: Json | null;
  tags?: readonly string[] | null;
  is_favorite?: boolean | null;
  is_archived?: boolean | null;
  notes?: string | null;
  metadata?: Json | null;
}

export interface ContactUpdate {
  firstname?: string | null;
  lastname?: string | null;
  name?: string | null;
  email?: string | null;
  phone_number?: string | null;
  secondary_phone?: string | null;
  company_name?: string | null;
  company_id?: string | null;
  job_title?: string | null;
  date_of_birth?: string | null;
  gender?: string | null;
  language?: string | null;
  timezone?: string | null;
  website?: string | null;
  st_address?: string | null;
  address_2?: string | null;
  city?: string | null;
  state?: string | null;
  zip?: string | null;
  country?: string | null;
  lead_status?: string | null;
  lead_status_id?: string | null;
  lead_source?: string | null;
  sub_source?: string | null;
  product?: string | null;
  market?: string | null;
  priority?: "low" | "medium" | "high" | "urgent" | null;
  estimated_value?: string | null;
  conversation_status?: "New" | "Open" | "Pending" | "Done" | "Closed" | null;
  last_contacted_at?: string | null;
  last_activity_at?: string | null;
  appointment_status_id?: string | null;
  appointment_result_id?: string | null;
  appointment_date?: string | null;
  follow_up_date?: string | null;
  assigned_to?: string | null;
  team_id?: string | null;
  board_id?: string | null;
  dnd?: Json | null;
  tags?: readonly string[] | { add?: readonly string[]; remove?: readonly string[] } | null;
  is_favorite?: boolean | null;
  is_archived?: boolean | null;
  notes?: string | null;
  metadata?: Json | null;
}

export interface Lead {
  contact_id?: string;
  is_primary?: boolean;
  lead_source?: string;
  sub_source?: string;
  product_interest?: string;
  market?: string;
  status_option_id?: string;
  temperature?: "cold" | "warm" | "hot";
  priority?: "low" | "medium" | "high" | "urgent";
  lead_score?: number;
  estimated_value?: string;
  currency?: string;
  expected_close_date?: string;
  owner_id?: string;
  team_id?: string;
  company_id?: string;
  campaign_id?: string;
  utm_source?: string;
  utm_medium?: string;
  utm_campaign?: string;
  captured_url?: string;
  external_id?: string;
  converted_at?: string;
  converted_opportunity_id?: string;
  lost_reason_id?: string;
  last_activity_at?: string;
  tags?: readonly string[];
  notes?: string;
  qualification_status?: "unqualified" | "in_process" | "marketing_qualified" | "sales_qualified" | "disqualified";
}

export interface LeadCreate {
  contact_id: string;
  lead_source?: string | null;
  sub_source?: string | null;
  product_interest?: string | null;
  market?: string | null;
  status_option_id?: string | null;
  temperature?: "cold" | "warm" | "hot" | null;
  priority?: "low" | "medium" | "high" | "urgent" | null;
  estimated_value?: string | null;
  currency?: string | null;
  expected_close_date?: string | null;
  owner_id?: string | null;
  team_id?: string | null;
  company_id?: string | null;
  campaign_id?: string | null;
  utm_source?: string | null;
  utm_medium?: string | null;
  utm_campaign?: string | null;
  captured_url?: string | null;
  external_id?: string | null;
  converted_opportunity_id?: string | null;
  lost_reason_id?: string | null;
  last_activity_at?: string | null;
  tags?: readonly string[] | null;
  notes?: string | null;
  qualification_status?: "unqualified" | "in_process" | "marketing_qualified" | "sales_qualified" | "disqualified" | null;
}

export interface LeadUpdate {
  contact_id?: string;
  lead_source?: string | null;
  sub_source?: string | null;
  product_interest?: string | null;
  market?: string | null;
  status_option_id?: string | null;
  temperature?: "cold" | "warm" | "hot" | null;
  priority?: "low" | "medium" | "high" | "urgent" | null;
  estimated_value?: string | null;
  currency?: string | null;
  expected_close_date?: string | null;
  owner_id?: string | null;
  team_id?: string | null;
  company_id?: string | null;
  converted_opportunity_id?: string | null;
  lost_reason_id?: string | null;
  last_activity_at?: string | null;
  tags?: readonly string[] | { add?: readonly string[]; remove?: readonly string[] } | null;
  notes?: string | null;
  qualification_status?: "unqualified" | "in_process" | "marketing_qualified" | "sales_qualified" | "disqualified" | null;
}

export interface LeadActivity {
  lead_id?: string;
  activity_type?: "lead_created" | "stage_changed" | "status_changed" | "score_updated" | "contact_updated" | "call" | "email" | "sms" | "meeting" | "note" | "task" | "capture" | "merge" | "import" | "custom";
  activity_data?: Json;
  performed_by?: string;
  performed_at?: string;
  is_automated?: boolean;
  notes?: string;
  idempotency_key?: string;
}

export interface LeadActivityCreate {
  lead_id: string;
  activity_type: "lead_created" | "stage_changed" | "status_changed" | "score_updated" | "contact_updated" | "call" | "email" | "sms" | "meeting" | "note" | "task" | "capture" | "merge" | "import" | "custom";
  activity_data?: Json | null;
  is_automated?: boolean | null;
  notes?: string | null;
  idempotency_key?: string | null;
}

export type LeadActivityUpdate = Record<string, never>;

export interface CustomFieldDefinition {
  context?: "contact" | "lead" | "company" | "opportunity";
  name?: string;
  label?: string;
  field_type?: "text" | "long_text" | "number" | "currency" | "date" | "datetime" | "boolean" | "select" | "multi_select" | "phone" | "email" | "url" | "user" | "file";
  options?: Json;
  is_required?: boolean;
  is_unique?: boolean;
  sensitivity?: "normal" | "sensitive";
  position?: string;
}

export interface CustomFieldDefinitionCreate {
  context: "contact" | "lead" | "company" | "opportunity";
  name: string;
  label?: string | null;
  field_type?: "text" | "long_text" | "number" | "currency" | "date" | "datetime" | "boolean" | "select" | "multi_select" | "phone" | "email" | "url" | "user" | "file" | null;
  options?: Json | null;
  is_required?: boolean | null;
  is_unique?: boolean | null;
  sensitivity?: "normal" | "sensitive" | null;
  position?: string | null;
}

export interface CustomFieldDefinitionUpdate {
  label?: string | null;
  field_type?: "text" | "long_text" | "number" | "currency" | "date" | "datetime" | "boolean" | "select" | "multi_select" | "phone" | "email" | "url" | "user" | "file" | null;
  options?: Json | null;
  is_required?: boolean | null;
  is_unique?: boolean | null;
  position?: string | null;
}

export interface LeadCustomField {
  lead_id?: string;
  field_name?: string;
  field_type?: string;
  field_value?: string;
  value_num?: string;
  value_time?: string;
  value_json?: Json;
}

export interface LeadCustomFieldCreate {
  lead_id: string;
  field_name: string;
  field_type?: string | null;
  field_value?: string | null;
  value_json?: Json | null;
}

export interface LeadCustomFieldUpdate {
  field_value?: string | null;
  value_json?: Json | null;
}

export interface Pipeline {
  name?: string;
  entity?: "lead" | "opportunity";
  is_default?: boolean;
  rotten_days?: number;
  position?: string;
}

export interface PipelineCreate {
  name: string;
  entity?: "lead" | "opportunity" | null;
  rotten_days?: number | null;
  position?: string | null;
}

export interface PipelineUpdate {
  name?: string;
  rotten_days?: number | null;
  position?: string | null;
}

export interface PipelineStage {
  pipeline_id?: string;
  name?: string;
  type?: "open" | "won" | "lost";
  probability?: number;
  position?: string;
  required_fields?: readonly string[];
}

export interface PipelineStageCreate {
  pipeline_id: string;
  name: string;
  type?: "open" | "won" | "lost" | null;
  probability?: number | null;
  position?: string | null;
  required_fields?: readonly string[] | null;
}

export interface PipelineStageUpdate {
  name?: string;
  type?: "open" | "won" | "lost" | null;
  probability?: number | null;
  position?: string | null;
  required_fields?: readonly string[] | { add?: readonly string[]; remove?: readonly string[] } | null;
}

export interface Opportunity {
  name?: string;
  contact_id?: string;
  lead_id?: string;
  company_id?: string;
  pipeline_id?: string;
  stage_id?: string;
  status?: "open" | "won" | "lost" | "abandoned";
  probability?: number;
  amount?: string;
  currency?: string;
  exchange_rate?: string;
  expected_close_date?: string;
  closed_at?: string;
  lost_reason_id?: string;
  lost_notes?: string;
  next_step?: string;
  owner_id?: string;
  follower_ids?: readonly string[];
  source?: string;
}

export interface OpportunityCreate {
  name: string;
  contact_id?: string | null;
  lead_id?: string | null;
  company_id?: string | null;
  pipeline_id: string;
  stage_id: string;
  probability?: number | null;
  amount?: string | null;
  currency?: string | null;
  exchange_rate?: string | null;
  expected_close_date?: string | null;
  lost_reason_id?: string | null;
  lost_notes?: string | null;
  next_step?: string | null;
  owner_id?: string | null;
  follower_ids?: readonly string[] | null;
  source?: string | null;
}

export interface OpportunityUpdate {
  name?: string;
  contact_id?: string | null;
  lead_id?: string | null;
  company_id?: string | null;
  pipeline_id?: string;
  stage_id?: string;
  probability?: number | null;
  amount?: string | null;
  currency?: string | null;
  exchange_rate?: string | null;
  expected_close_date?: string | null;
  lost_reason_id?: string | null;
  lost_notes?: string | null;
  next_step?: string | null;
  owner_id?: string | null;
  follower_ids?: readonly string[] | { add?: readonly string[]; remove?: readonly string[] } | null;
}

export interface Appointment {
  contact_id?: string;
  lead_id?: string;
  title?: string;
  start_at?: string;
  end_at?: string;
  timezone?: string;
  result_option_id?: string;
  location_type?: "phone" | "address" | "zoom" | "gmeet" | "ms_teams" | "custom";
  location?: string;
  assigned_to?: string;
  set_by?: string;
  confirmed_by?: string;
  reminders?: Json;
  rrule?: string;
  ical_uid?: string;
  status?: "new" | "confirmed" | "cancelled" | "showed" | "noshow" | "invalid";
}

export interface AppointmentCreate {
  contact_id?: string | null;
  lead_id?: string | null;
  title?: string | null;
  start_at?: string | null;
  end_at?: string | null;
  timezone?: string | null;
  result_option_id?: string | null;
  location_type?: "phone" | "address" | "zoom" | "gmeet" | "ms_teams" | "custom" | null;
  location?: string | null;
  assigned_to?: string | null;
  reminders?: Json | null;
  rrule?: string | null;
  status?: "new" | "confirmed" | "cancelled" | "showed" | "noshow" | "invalid" | null;
}

export interface AppointmentUpdate {
  contact_id?: string | null;
  lead_id?: string | null;
  title?: string | null;
  start_at?: string | null;
  end_at?: string | null;
  timezone?: string | null;
  result_option_id?: string | null;
  location_type?: "phone" | "address" | "zoom" | "gmeet" | "ms_teams" | "custom" | null;
  location?: string | null;
  assigned_to?: string | null;
  reminders?: Json | null;
  rrule?: string | null;
  status?: "new" | "confirmed" | "cancelled" | "showed" | "noshow" | "invalid" | null;
}

export interface Conversation {
  contact_id?: string;
  channel?: "sms" | "email" | "whatsapp" | "livechat" | "facebook" | "instagram" | "call";
  status?: "open" | "pending" | "snoozed" | "closed";
  assigned_to?: string;
  unread_count?: number;
  read_up_to?: Json;
  last_message_at?: string;
  sentiment?: "positive" | "neutral" | "negative";
}

export interface ConversationCreate {
  contact_id: string;
  channel: "sms" | "email" | "whatsapp" | "livechat" | "facebook" | "instagram" | "call";
  status?: "open" | "pending" | "snoozed" | "closed" | null;
  assigned_to?: string | null;
  read_up_to?: Json | null;
}

export interface ConversationUpdate {
  status?: "open" | "pending" | "snoozed" | "closed" | null;
  assigned_to?: string | null;
  read_up_to?: Json | null;
}

export interface Message {
  contact_id?: string;
  conversation_id?: string;
  lead_id?: string;
  direction?: "inbound" | "outbound";
  channel?: "sms" | "email" | "whatsapp" | "livechat" | "facebook" | "instagram" | "call";
  body?: string;
  content_type?: string;
  attachments?: Json;
  status?: "queued" | "pending" | "sent" | "delivered" | "read" | "failed" | "undelivered" | "opt_out";
  external_id?: string;
  error?: string;
  sent_by?: string;
  sent_at?: string;
}

export interface MessageCreate {
  contact_id?: string | null;
  conversation_id?: string | null;
  lead_id?: string | null;
  direction: "inbound" | "outbound";
  channel: "sms" | "email" | "whatsapp" | "livechat" | "facebook" | "instagram" | "call";
  body?: string | null;
  content_type?: string | null;
  attachments?: Json | null;
  status?: "queued" | "pending" | "sent" | "delivered" | "read" | "failed" | "undelivered" | "opt_out" | null;
  sent_by?: string | null;
}

export interface MessageUpdate {
  contact_id?: string | null;
  lead_id?: string | null;
  status?: "queued" | "pending" | "sent" | "delivered" | "read" | "failed" | "undelivered" | "opt_out" | null;
}

export interface Task {
  title?: string;
  type?: "follow_up" | "call" | "email" | "todo" | "review";
  status?: "backlog" | "todo" | "in_progress" | "canceled" | "done";
  priority?: "low" | "medium" | "high" | "urgent";
  due_at?: string;
  all_day?: boolean;
  assigned_to?: string;
  subject_type?: "contact" | "lead" | "opportunity" | "company";
  subject_id?: string;
  completed_at?: string;
  description?: string;
}

export interface TaskCreate {
  title: string;
  type?: "follow_up" | "call" | "email" | "todo" | "review" | null;
  status?: "backlog" | "todo" | "in_progress" | "canceled" | "done" | null;
  priority?: "low" | "medium" | "high" | "urgent" | null;
  due_at?: string | null;
  all_day?: boolean | null;
  assigned_to?: string | null;
  subject_type?: "contact" | "lead" | "opportunity" | "company" | null;
  subject_id?: string | null;
  description?: string | null;
}

export interface TaskUpdate {
  title?: string;
  type?: "follow_up" | "call" | "email" | "todo" | "review" | null;
  status?: "backlog" | "todo" | "in_progress" | "canceled" | "done" | null;
  priority?: "low" | "medium" | "high" | "urgent" | null;
  due_at?: string | null;
  all_day?: boolean | null;
  assigned_to?: string | null;
  description?: string | null;
}

export interface Note {
  subject_type?: "contact" | "lead" | "opportunity" | "company" | "appointment";
  subject_id?: string;
  title?: string;
  body?: string;
  pinned?: boolean;
  author_id?: string;
}

export interface NoteCreate {
  subject_type?: "contact" | "lead" | "opportunity" | "company" | "appointment" | null;
  subject_id?: string | null;
  title?: string | null;
  body?: string | null;
  pinned?: boolean | null;
}

export interface NoteUpdate {
  title?: string | null;
  body?: string | null;
  pinned?: boolean | null;
}

export interface Product {
  sku?: string;
  name?: string;
  description?: string;
  unit_price?: string;
  currency?: string;
  tax_rate?: string;
  is_active?: boolean;
}

export interface ProductCreate {
  sku?: string | null;
  name: string;
  description?: string | null;
  unit_price?: string | null;
  currency?: string | null;
  tax_rate?: string | null;
  is_active?: boolean | null;
}

export interface ProductUpdate {
  sku?: string | null;
  name?: string;
  description?: string | null;
  unit_price?: string | null;
  currency?: string | null;
  tax_rate?: string | null;
  is_active?: boolean | null;
}

export interface Proposal {
  number?: string;
  opportunity_id?: string;
  version?: number;
  title?: string;
  body?: string;
  lines?: Json;
  subtotal?: string;
  total?: string;
  currency?: string;
  valid_until?: string;
  owner_id?: string;
  status?: "draft" | "in_review" | "approved" | "sent" | "accepted" | "rejected" | "expired";
}

export interface ProposalCreate {
  opportunity_id?: string | null;
  title?: string | null;
  body?: string | null;
  lines?: Json | null;
  currency?: string | null;
  valid_until?: string | null;
  owner_id?: string | null;
  status?: "draft" | "in_review" | "approved" | "sent" | "accepted" | "rejected" | "expired" | null;
}

export interface ProposalUpdate {
  opportunity_id?: string | null;
  title?: string | null;
  body?: string | null;
  lines?: Json | null;
  currency?: string | null;
  valid_until?: string | null;
  owner_id?: string | null;
  status?: "draft" | "in_review" | "approved" | "sent" | "accepted" | "rejected" | "expired" | null;
}

export interface Content {
  kind?: "template" | "snippet" | "document" | "legal";
  title?: string;
  body?: string;
  version?: number;
  language?: string;
  tags?: readonly string[];
  status?: "draft" | "published" | "archived";
}

export interface ContentCreate {
  kind: "template" | "snippet" | "document" | "legal";
  title?: string | null;
  body?: string | null;
  language?: string | null;
  tags?: readonly string[] | null;
  status?: "draft" | "published" | "archived" | null;
}

export interface ContentUpdate {
  title?: string | null;
  body?: string | null;
  language?: string | null;
  tags?: readonly string[] | { add?: readonly string[]; remove?: readonly string[] } | null;
  status?: "draft" | "published" | "archived" | null;
}

export interface Approval {
  subject_type?: "proposal" | "content" | "opportunity" | "migration_stage";
  subject_id?: string;
  subject_version?: number;
  requested_by?: string;
  approver_id?: string;
  approver_rank?: number;
  decision?: "pending" | "approved" | "rejected" | "withdrawn";
  decided_at?: string;
  comment?: string;
}

export type ApprovalCreate = never;

export interface ApprovalUpdate {
  decision?: "pending" | "approved" | "rejected" | "withdrawn" | null;
  comment?: string | null;
}

export interface Import {
  entity?: string;
  file_sha256?: string;
  dialect?: Json;
  mapping?: Json;
  match_keys?: Json;
  on_match?: "skip" | "fill_empty" | "overwrite" | "create";
  state?: "uploaded" | "previewed" | "running" | "paused" | "done" | "failed" | "reverted";
  counters?: Json;
  last_row?: number;
}

export type ImportCreate = never;

export type ImportUpdate = Record<string, never>;

export interface Merge {
  entity?: string;
  winner_id?: string;
  loser_id?: string;
  before?: Json;
  undone_at?: string;
}

export type MergeCreate = never;

export type MergeUpdate = Record<string, never>;

export interface Conflict {
  entity?: string;
  record_id?: string;
  kind?: "field" | "delete_edit";
  fields?: Json;
  base?: Json;
  mine?: Json;
  theirs?: Json;
  result?: Json;
  mine_user?: string;
  theirs_user?: string;
  mine_client?: string;
  mine_seq?: number;
  strategy?: string;
  state?: "open" | "resolved" | "auto_resolved" | "expired";
  resolution?: "use_mine" | "use_theirs" | "custom";
  resolved_by?: string;
  mutation_id?: string;
  assigned_to?: string;
  created_at?: string;
  due_at?: string;
}

export type ConflictCreate = never;

export interface ConflictUpdate {
  assigned_to?: string | null;
  due_at?: string | null;
}
